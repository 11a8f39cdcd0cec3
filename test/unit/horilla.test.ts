// What is asked of Horilla, and what its answers are taken for.
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { createAdmin } from '../../infra/docker/horilla-hr/admin.ts'
import { checks } from '../../infra/docker/horilla-hr/smoke.ts'
import type { EdgeRequest } from '../../scripts/lib/smoke/edge.ts'
import type { SmokeContext } from '../../scripts/lib/smoke/checks.ts'
import { repository } from '../sandbox.ts'

const test = suite('horilla')
type Reply = { status: number; body?: string }

/** What a check says when `answer` answers; every request is in `asked`. */
async function verdict(
  name: string,
  answer: (path: string, ask: EdgeRequest) => Reply,
  exec = async () => '',
) {
  const asked: { path: string; ask: EdgeRequest }[] = []
  const get = async (url: string, ask: EdgeRequest = {}) => {
    const path = new URL(url).pathname
    asked.push({ path, ask })
    return { headers: new Headers(), body: '', ms: 0, ...answer(path, ask) }
  }
  const env = {
    KGC_HORILLA_USERNAME: 'kgc-sync',
    KGC_HORILLA_PASSWORD: 'S',
    ADMIN_EMAIL: 'a@kgc.hu',
    ADMIN_PASSWORD: 'P',
  }
  const context = {
    edge: { get },
    env,
    exec,
    address: () => 'https://hr.kgc.hu',
  } as unknown as SmokeContext
  const check = checks.find(one => one.name.includes(name))!
  const words = await check.run(context).then(
    () => 'green',
    (error: Error) => error.message,
  )
  return { words, asked }
}

test('a set-up page is open when it has a form, whatever else answers 200', async () => {
  const closed = (path: string): Reply =>
    path.includes('company')
      ? { status: 200, body: '<h1>You Dont Have Permission</h1>' }
      : { status: 302 }
  const { words, asked } = await verdict('pages that initialise', closed)
  assert.is(words, 'green')
  assert.equal([...new Set(asked.map(({ ask }) => ask.method ?? 'GET'))], ['GET'])
  for (const step of ['user', 'company', 'department', 'job-position'])
    assert.ok(
      asked.some(
        ({ path, ask }) => path === `/initialize-database-${step}/` && ask.headers?.['hx-request'],
      ),
      step,
    )
  // Horilla before 2.1: anybody with the header
  const old = await verdict('pages that initialise', (path, { headers }) =>
    path.includes('-user') && headers?.['hx-request']
      ? { status: 200, body: '<form hx-post="x">' }
      : closed(path),
  )
  assert.match(old.words, '/initialize-database-user/ lets a visitor create the first superuser')
})

test("the employees are asked for as KGC's service user, and a refusal names the next step", async () => {
  const list = (employees: Reply) => (path: string) =>
    path.includes('login') ? { status: 200, body: '{"access":"T"}' } : employees
  const { words, asked } = await verdict(
    'service user',
    list({ status: 403, body: '{"detail":"This account is not assigned to a company."}' }),
  )
  assert.match(words, /refused: 403 .*not assigned to a company.*make admin APP=horilla-hr/)
  assert.match(asked[0]!.ask.body ?? '', '"username":"kgc-sync"')
  const row = '{"id":1,"employee_first_name":"A","employee_last_name":"B","email":"a@kgc.hu"}'
  assert.is(
    (await verdict('service user', list({ status: 200, body: `{"count":1,"results":[${row}]}` })))
      .words,
    'green',
  )
})

test('a foreign Host is asked of Horilla itself: Traefik would answer for it', async () => {
  assert.is(
    (
      await verdict(
        'a host that is not',
        () => ({ status: 404 }),
        async () => '400',
      )
    ).words,
    'green',
  )
  assert.match(
    (
      await verdict(
        'a host that is not',
        () => ({ status: 404 }),
        async () => '200',
      )
    ).words,
    'answered with 200',
  )
})

test('the script of make admin is Python, and holds what it is given as data alone', async () => {
  let script = ''
  const exec = async (_: string, __: string[], input = '') => {
    script = input
    return 'kgc: a@kgc.hu: created\n'
  }
  const env = {
    KGC_HORILLA_USERNAME: 'kgc-sync',
    KGC_HORILLA_PASSWORD: `"""\\x' ő`,
    DOMAIN: 'kgc.hu',
    HORILLA_COMPANY: 'Kisgép "Kft."',
  }
  await createAdmin({ exec, env } as unknown as SmokeContext, {
    email: 'a@kgc.hu',
    password: 'Secret-1',
  })
  const read = `import ast, json, sys\ntree = ast.parse(sys.stdin.read())\nfor node in ast.walk(tree):\n    if isinstance(node, ast.Call) and getattr(node.func, 'attr', '') == 'loads':\n        print(node.args[0].value)`
  const { stdout, stderr } = spawnSync('python3', ['-c', read], { input: script, encoding: 'utf8' })
  assert.is(stderr, '')
  const given = JSON.parse(stdout)
  assert.is(given.company, 'Kisgép "Kft."')
  assert.equal(
    given.people.map(({ username, password, admin }: Record<string, unknown>) => [
      username,
      password,
      admin,
    ]),
    [
      ['a@kgc.hu', 'Secret-1', true],
      ['kgc-sync', `"""\\x' ő`, false],
    ],
  )
})

test('heartbeat.py is green, red or forgiving by what the database says, with either driver', () => {
  const beat = (database: string, ...argv: string[]) => {
    const driver = `import sys, types\ndriver = types.ModuleType(NAME)\nclass Error(Exception): pass\ndriver.Error = Error\nclass Both:\n  def __enter__(self): return self\n  def __exit__(self, *a): pass\n  def cursor(self): return self\n  def execute(self, q): assert "5 minutes" in q\n  def fetchone(self): return [VERDICT]\ndef connect(*a, **k):\n  if VERDICT == "away": raise Error("Connection refused")\n  return Both()\ndriver.connect = connect\nsys.modules[NAME] = driver\nsys.argv = ["heartbeat.py"] + sys.argv[2:]\nexec(open(PATH).read())`
    return ['psycopg2', 'psycopg'].map(name => {
      const hide = name === 'psycopg' ? 'import sys\nsys.modules["psycopg2"] = None\n' : ''
      const head = `NAME, VERDICT, PATH = ${JSON.stringify(name)}, ${database}, ${JSON.stringify(join(repository, 'infra/docker/horilla-hr/heartbeat.py'))}\n`
      const { status, stderr } = spawnSync('python3', ['-c', hide + head + driver, 'x', ...argv], {
        encoding: 'utf8',
        env: { ...process.env, DATABASE_URL: 'postgres://x' },
      })
      return `${status} ${stderr.trim()}`
    })
  }
  assert.equal(beat('None'), ['0 ', '0 '])
  assert.equal(beat('"it hangs"', 'live'), ['1 it hangs', '1 it hangs'])
  assert.equal(beat('"away"'), ['1 Connection refused', '1 Connection refused'])
  assert.equal(beat('"away"', 'live'), ['0 ', '0 '])
})

test.run()
