// The whole demo, once: from nothing to nothing.
import { spawnSync } from 'node:child_process'
import { readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'dotenv'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { parseAllDocuments } from 'yaml'
import { createAdmin as twentyAdmin } from '../../../infra/docker/twenty-crm/admin.ts'
import { schemaVersion as twentySchemaVersion } from '../../../infra/docker/twenty-crm/schema-version.ts'
import { checks as kgcChecks } from '../../../infra/docker/kgc/smoke.ts'
import type { SmokeContext } from '../../../scripts/lib/smoke/checks.ts'
import { edgeAt } from '../../../scripts/lib/smoke/edge.ts'
import { otherNodes } from '../../node.ts'
import { fullProject } from '../project.ts'
import { waitUntil } from '../../until.ts'

const test = suite('whole stack')
const stack = fullProject('stack', 18060)
const names = () =>
  stack
    .engine(
      'ps',
      '-a',
      '--filter',
      `label=com.docker.compose.project=${stack.project}`,
      '--format',
      '{{.Label "com.docker.compose.service"}}',
    )
    .split('\n')
/** What would show a change; one-shots are left out: Compose runs them at each up. */
const started = () =>
  Object.fromEntries(
    names()
      .filter(name => !/migrate|prepare/.test(name))
      .map(name => [
        name,
        stack.engine(
          'inspect',
          '--format',
          '{{.Id}} {{.State.StartedAt}} {{.RestartCount}}',
          stack.container(name),
        ),
      ]),
  )
const smoke = (...argv: string[]) => stack.run(['smoke', 'demo', ...argv])
const curl = (url: string, ...argv: string[]) =>
  spawnSync('curl', ['-sk', '--max-time', '10', ...argv, url], { encoding: 'utf8' }).stdout
const answer = (argv: string[], input?: string) =>
  spawnSync('docker', argv, { input, encoding: 'utf8' })
const sql = (app: string, query: string) =>
  stack.engine('exec', stack.container(`${app}-db`), 'psql', '-qtAU', 'postgres', app, '-c', query)
/** What the edge says where no application is. */
const nobody = 'No application can be reached at this address'

test('up brings all of it up', () => {
  const { code, stderr, stdout } = stack.run(['up', 'demo'])
  assert.is(code, 0, stderr)
  assert.is(stdout.trim().split('\n').length, 7, 'a head and six addresses')
  assert.is(names().length, 21)
})

test('until there are administrators the edge serves their applications to nobody, and smoke names what opens each', () => {
  for (const host of ['crm', 'support', 'hr'])
    assert.match(curl(`https://${host}.kgc.localhost:18061/`), nobody, host)
  assert.match(curl('https://app.kgc.localhost:18061/'), 'KGC')
  const { code, stderr } = smoke()
  assert.is(code, 6)
  for (const app of ['chatwoot', 'horilla-hr', 'twenty-crm'])
    assert.match(stderr, `make admin APP=${app}`)
})

test('the administrator of Twenty, interrupted before each of its calls and while one is under way, is gone on with', async () => {
  const context = (calls: number, patience = 0) =>
    ({
      env: {},
      edge: {},
      address: (name: string) => `https://${name}.kgc.localhost:18061`,
      exec: async (service: string, argv: string[], input?: string) => {
        if (calls-- > 0)
          return answer(['exec', '-i', stack.container(service), ...argv], input).stdout
        // the server goes on with what it was asked when nobody waits for it any more
        if (patience)
          answer(
            ['exec', '-i', stack.container(service), ...argv, '--max-time', String(patience)],
            input,
          )
        throw new Error('interrupted')
      },
    }) as unknown as SmokeContext
  const stranger = () =>
    curl(
      'https://crm.kgc.localhost:18061/metadata',
      '-H',
      'content-type: application/json',
      '-d',
      JSON.stringify({ query: '{ __typename }' }),
    )
  const admin = { email: 'first@kgc.localhost', password: 'Secret-123456' }
  const before = await twentySchemaVersion(context(99))
  for (const [calls, patience] of [[1], [2], [3], [4], [5], [5, 0.1], [6]] as const) {
    const words = await twentyAdmin(context(calls, patience), admin).catch(
      (error: Error) => error.message,
    )
    assert.match(words, 'interrupted', `${calls}: ${words}`)
    assert.match(stranger(), nobody, 'the edge serves a stranger before the administrator is there')
    await twentyAdmin(context(99), admin)
    const left = sql(
      'twenty',
      `SELECT display_name || ' ' || activation_status FROM core.workspace`,
    )
    assert.is(left, 'KGC ACTIVE', `interrupted after ${calls} calls`)
    assert.is(
      await twentySchemaVersion(context(99)),
      before,
      'a workspace that is made is no migration',
    )
    sql(
      'twenty',
      'TRUNCATE core."user", core.workspace, core.token, core.user_workspace; DELETE FROM core."upgradeMigration" WHERE "isInitial"',
    )
  }
  // whoever comes first is the server's administrator, whoever makes the workspace
  await twentyAdmin(context(2), { ...admin, email: 'stranger@kgc.localhost' }).catch(() => {})
  assert.match(await twentyAdmin(context(99), admin), /somebody signed up before/)
  sql(
    'twenty',
    'TRUNCATE core."user", core.workspace, core.token, core.user_workspace; DELETE FROM core."upgradeMigration" WHERE "isInitial"',
  )
})

test('a newer release of Twenty moves the head that a rollback is judged by, and nothing in the table that is frozen', async () => {
  const exec = async (service: string, argv: string[]) =>
    answer(['exec', stack.container(service), ...argv]).stdout
  const head = () => twentySchemaVersion({ exec } as unknown as SmokeContext)
  const frozen = () => sql('twenty', 'SELECT count(*), max(name) FROM core._typeorm_migrations')
  const before = [await head(), frozen()]
  stack.engine(
    'exec',
    '--env',
    'STANDIN_EXTRA_MIGRATION=1760000000000-next',
    stack.container('twenty-server'),
    'yarn',
    'command:prod',
    'upgrade',
  )
  assert.is(frozen(), before[1])
  assert.is.not(await head(), before[0])
  sql(
    'twenty',
    `DROP TABLE "extra_1760000000000_next"; DELETE FROM core."upgradeMigration" WHERE name LIKE '%-next'`,
  )
  assert.is(await head(), before[0])
})

test('the first account of Chatwoot speaks English where nobody says another language, and a scheduler that would migrate does not start', () => {
  const script = `data = JSON.parse(<<'JSON')\n{"account":"KGC"}\nJSON\nAccount.create!(name: data['account'], locale: I18n.locale)\nAccountUser.none`
  answer(
    ['exec', '-i', stack.container('chatwoot-web'), 'bundle', 'exec', 'rails', 'runner', '-'],
    script,
  )
  assert.is(sql('chatwoot', 'DELETE FROM accounts RETURNING locale'), 'en')
  const scheduler = stack.container('horilla-scheduler')
  const { Entrypoint, Cmd } = JSON.parse(
    stack.engine('inspect', '--format', '{{json .Config}}', scheduler),
  )
  const { status, stdout } = answer([
    'exec',
    '--env',
    'HORILLA_SKIP_RELEASE_TASKS=0',
    scheduler,
    ...Entrypoint,
    ...Cmd,
  ])
  assert.is(status, 1)
  assert.match(stdout, 'HORILLA_SKIP_RELEASE_TASKS')
})

test('admin makes the administrators, whatever was left half-way; a second time it changes nothing, and smoke passes', () => {
  const { ADMIN_EMAIL: email, ADMIN_PASSWORD: password } = parse(
    readFileSync(join(stack.docker, '.env.demo')),
  )
  // killed before the flag of the onboarding is removed: account and user are there, the page is
  // open
  const script = `data = JSON.parse(<<'JSON')\n${JSON.stringify({ email, password, name: 'A', account: 'KGC' })}\nJSON
    Account.create!(locale: ENV['DEFAULT_LOCALE'])\nSuperAdmin.new.skip_confirmation!\nAccountUser.create!(role: :administrator)`
  answer(
    ['exec', '-i', stack.container('chatwoot-web'), 'bundle', 'exec', 'rails', 'runner', '-'],
    script,
  )
  // without an Employee record Horilla's set-up stays open, too
  const variables = { USERNAME: email, EMAIL: email, PASSWORD: password }
  const env = Object.entries(variables).flatMap(([name, value]) => [
    '--env',
    `DJANGO_SUPERUSER_${name}=${value}`,
  ])
  stack.engine(
    'exec',
    ...env,
    stack.container('horilla-web'),
    'python',
    'manage.py',
    'createsuperuser',
    '--noinput',
  )
  for (const host of ['crm', 'support', 'hr'])
    assert.match(curl(`https://${host}.kgc.localhost:18061/`), nobody, host)
  const first = stack.run(['admin', 'demo'])
  assert.is(first.code, 0, first.stderr)
  assert.match(first.stderr, /administrator was there, account was there, onboarding closed/)
  assert.match(first.stderr, /its Employee record is new/)
  const stranger = JSON.stringify({
    query:
      'mutation { signUp(email: "s@kgc.localhost", password: "Secret-123456") { tokens { refreshToken { token } } } }',
  })
  assert.match(
    curl(
      'https://crm.kgc.localhost:18061/metadata',
      '-H',
      'content-type: application/json',
      '-d',
      stranger,
    ),
    'New workspace setup is disabled',
  )
  const again = stack.run(['admin', 'demo'])
  assert.is(again.code, 0, again.stderr)
  assert.is(
    sql('chatwoot', 'SELECT locale FROM accounts'),
    'hu',
    'the language of the first account',
  )
  const { code, stderr, stdout } = smoke()
  assert.is(code, 0, stderr)
  assert.ok(stdout.split('\n').filter(line => line.startsWith('✔')).length > 35)
})

test('KGC takes what Twenty sends and understands nothing of it, and smoke says no more than that', () => {
  assert.match(stack.engine('logs', stack.container('kgc-api')), 'Unhandled event type: undefined')
  assert.match(
    smoke('--only', 'twenty-crm').stdout,
    /by webhook, signed .*delivered, signature valid; not yet understood by KGC/,
  )
})

test('each host leads to its own application, HTTP to HTTPS, another host to none', () => {
  const titles = {
    app: /KGC/i,
    api: /not found/i,
    admin: /401 Authorization Required/,
    crm: /Twenty/,
    support: /Chatwoot/,
    hr: /Horilla|HR/,
  }
  for (const [host, title] of Object.entries(titles))
    assert.match(curl(`https://${host}.kgc.localhost:18061/`, '-L'), title, host)
  assert.is(
    curl(
      'http://crm.kgc.localhost:18060/x',
      '-o',
      '/dev/null',
      '-w',
      '%{http_code} %{redirect_url}',
    ),
    '301 https://crm.kgc.localhost:18061/x',
  )
  assert.is(
    curl('https://other.kgc.localhost:18061/', '-o', '/dev/null', '-w', '%{http_code}'),
    '404',
  )
})

test('with what its image brings each page is open, and smoke says so', async () => {
  for (const [page, name, said] of [
    [
      'web',
      'the web page gives away no source, and no other site may frame it',
      /\.js\.map answers 200/,
    ],
    [
      'admin',
      'the project dashboard asks everybody for its password',
      /^\/ answers 200 without a password/,
    ],
  ] as const) {
    const id = stack.engine('run', '--detach', '--rm', `kgc-demo/kgc-${page}:demo`)
    const address = `http://${stack.engine('inspect', '--format', '{{.NetworkSettings.IPAddress}}', id)}`
    const edge = edgeAt({}, false)
    await waitUntil(`${page} serves`, 30, () =>
      edge.get(`${address}/health`).then(
        () => true,
        () => false,
      ),
    )
    assert.is(
      (await edge.get(address)).headers.get('x-frame-options'),
      null,
      'anybody may frame it',
    )
    const { run } = kgcChecks.find(check => check.name === name)!
    const words = await run({
      edge,
      env: {},
      address: () => address,
    } as unknown as SmokeContext).then(String, (error: Error) => error.message)
    assert.match(words, said)
    stack.engine('rm', '--force', id)
  }
})

test('what the API serves beside /api/v1 is closed on each host, however its path is written', () => {
  for (const path of ['/', '/api/docs'])
    assert.match(
      stack.engine(
        'exec',
        stack.container('kgc-api'),
        'wget',
        '-qO-',
        `http://127.0.0.1:3000${path}`,
      ),
      'played by the stand-in',
    )
  const { KGC_ADMIN_PASSWORD: password } = parse(readFileSync(join(stack.docker, 'kgc/.env.demo')))
  for (const path of [
    '/api/docs',
    '/api/docs-json',
    '/api/v1/../docs',
    '/api/v1/%2e%2e/docs',
    '//api/docs',
  ])
    for (const host of ['api', 'app', 'admin']) {
      const code = curl(
        `https://${host}.kgc.localhost:18061${path}`,
        '--path-as-is',
        '-u',
        `kgc:${password}`,
        '-o',
        '/dev/null',
        '-w',
        '%{http_code}',
      )
      assert.is(code, '404', `${host}. ${path}`)
    }
})

test('a second up changes nothing', () => {
  const before = started()
  const { code, stderr } = stack.run(['up', 'demo'])
  assert.is(code, 0, stderr)
  assert.equal(started(), before)
})

test('smoke --quick gives the same answer on every Node that people have', () => {
  const verdicts = (node: string) => {
    const { code, stdout } = stack.run(['smoke', 'demo', '--quick', '--json'], { node })
    const events = stdout
      .trim()
      .split('\n')
      .map(line => JSON.parse(line) as { event: string; name: string; ok: boolean; detail: string })
    return {
      code,
      checks: events
        .filter(({ event }) => event === 'check')
        .map(({ name, ok, detail }) => [name, ok, detail]),
    }
  }
  const ours = verdicts(process.execPath)
  assert.is(ours.checks.length, 21)
  for (const node of otherNodes) assert.equal(verdicts(node), ours, node)
})

test('the containers together stay under 1.5 GB', () => {
  const lines = stack
    .engine(
      'stats',
      '--no-stream',
      '--format',
      '{{.MemUsage}}',
      ...names()
        .filter(name => !/migrate|prepare/.test(name))
        .map(stack.container),
    )
    .split('\n')
  const inMib: Record<string, number> = { KiB: 1 / 1024, GiB: 1024 }
  const mib = lines.map(line => {
    const [, unit = ''] = /^[\d.]+([KG]iB)/.exec(line) ?? []
    return Number.parseFloat(line) * (inMib[unit] ?? 1)
  })
  assert.ok(lines.length === 19 && mib.reduce((sum, one) => sum + one, 0) < 1430, lines.join(' '))
})

test('the workers dead: smoke fails and says which; started, all is green again', async () => {
  const workers = ['twenty-worker', 'chatwoot-sidekiq', 'horilla-scheduler']
  const before = started()
  stack.engine('kill', ...workers.map(stack.container))
  const { code, stderr } = smoke('--quick')
  assert.is(code, 6)
  for (const worker of workers) assert.match(stderr, new RegExp(`${worker}: ended: exit 137`))
  stack.engine('start', ...workers.map(stack.container))
  await waitUntil('green again', 60, () => smoke().code === 0)
  const after = started()
  for (const name of names().filter(name => !workers.includes(name)))
    assert.is(after[name], before[name], `${name} was not touched`)
})

/** The probes of a workload in infra/k8s that look for a process. */
function processProbes(name: string): string[][] {
  const base = join(stack.root, 'infra/k8s/base')
  const files = readdirSync(base, { recursive: true, encoding: 'utf8' }).filter(file =>
    file.endsWith('.yaml'),
  )
  const all = files.flatMap(file =>
    parseAllDocuments(readFileSync(join(base, file), 'utf8'), { merge: true }).map(document =>
      document.toJS(),
    ),
  )
  const containers = all
    .filter(one => one?.metadata?.name === name)
    .flatMap(({ spec }) => spec.template?.spec.containers ?? [])
  const probes = containers.flatMap(({ startupProbe, readinessProbe, livenessProbe }) => [
    startupProbe,
    readinessProbe,
    livenessProbe,
  ])
  return probes.flatMap(probe => (probe?.exec?.command[0] === 'pgrep' ? [probe.exec.command] : []))
}

test('a check that looks for a process finds it, on Compose and Kubernetes, and not in the arguments of process 1', () => {
  const tried = names().flatMap(name => {
    const { Image, Cmd, Healthcheck } = JSON.parse(
      stack.engine('inspect', '--format', '{{json .Config}}', stack.container(name)),
    )
    const checks = [
      ...(Healthcheck?.Test[3]?.startsWith('pgrep') ? [['sh', '-c', Healthcheck.Test[3]]] : []),
      ...processProbes(name),
    ]
    if (!checks.length) return []
    // the same words, and nobody who does what they say
    const id = stack.engine(
      'run',
      '--detach',
      '--rm',
      '--init',
      '--entrypoint',
      'sh',
      Image,
      '-c',
      'sleep 60; true',
      ...Cmd,
    )
    assert.ok(
      stack.engine('exec', id, 'pgrep', '-f', Cmd.at(-1)),
      'a word of the command itself is always found',
    )
    for (const words of checks) {
      stack.engine('exec', stack.container(name), ...words)
      assert.throws(
        () => stack.engine('exec', id, ...words),
        /Command failed/,
        `${words.join(' ')} is green without a process`,
      )
    }
    stack.engine('rm', '--force', id)
    return [...new Set(checks.map(words => `${name} ${words.at(-1)}`))]
  })
  assert.equal(tried.sort(), [
    'chatwoot-sidekiq ^sidekiq ',
    'chatwoot-sidekiq ^sidekiq [0-9].*busy',
    "chatwoot-sidekiq pgrep -f '^sidekiq [0-9].*busy'",
    'twenty-worker dist/queue-worker/',
    'twenty-worker pgrep -f [q]ueue-worker/queue-worker',
    'twenty-worker queue-worker/queue-worker',
  ])
})

test('a scheduler that hangs is red, though /ready/ says ok; going on, it is green', async () => {
  const signal = (name: string) => {
    const script = `for one in /proc/[0-9]*; do if [ "$one" != /proc/1 ] && grep -aq '[r]un_scheduler' $one/cmdline; then kill -${name} \${one#/proc/}; fi; done`
    stack.engine('exec', stack.container('horilla-scheduler'), 'sh', '-c', script)
  }
  signal('STOP')
  sql(
    'horilla',
    "UPDATE django_apscheduler_djangojob SET next_run_time = now() - interval '6 minutes' WHERE next_run_time < now() + interval '5 minutes'",
  )
  const { code, stderr } = smoke('--quick')
  assert.is(code, 6)
  assert.match(stderr, 'horilla-scheduler: unhealthy: it hangs: a job has been due since')
  assert.match(curl('https://hr.kgc.localhost:18061/ready/'), '"scheduler":"ok"')
  signal('CONT')
  await waitUntil('green again', 30, () => smoke('--quick').code === 0)
})

test('the service user of Horilla sees the people of its company and of none, and without a company nobody', () => {
  const { KGC_HORILLA_PASSWORD: password } = parse(readFileSync(join(stack.docker, '.env.demo')))
  const ask = (path: string, ...argv: string[]) =>
    JSON.parse(curl(`https://hr.kgc.localhost:18061/api/${path}`, ...argv))
  const { access } = ask(
    'auth/login/',
    '-H',
    'content-type: application/json',
    '-d',
    JSON.stringify({ username: 'kgc-sync', password }),
  )
  const people = () => ask('employee/list/employees/', '-H', `authorization: Bearer ${access}`)
  const { count } = people()
  sql(
    'horilla',
    `WITH other AS (INSERT INTO base_company (company) VALUES ('Other') RETURNING id), one AS (INSERT INTO employee_employee
    (employee_first_name, employee_last_name, email, phone) VALUES ('Dóra', 'Nagy', 'dora@other.localhost', '+36 1 555 0104') RETURNING id)
    INSERT INTO employee_employeeworkinformation (employee_id, company_id) SELECT one.id, other.id FROM one, other`,
  )
  assert.is(people().count, count, 'somebody of another company is seen')
  sql(
    'horilla',
    "UPDATE employee_employeeworkinformation w SET company_id = NULL FROM employee_employee e WHERE e.id = w.employee_id AND e.email LIKE 'kgc-sync@%'",
  )
  assert.is(people().detail, 'This account is not assigned to a company.')
  const { code, stderr } = smoke('--only', 'horilla-hr')
  assert.is(code, 6)
  assert.match(stderr, 'make admin APP=horilla-hr gives the service user a company')
  const several = stack.run(['admin', 'demo', 'horilla-hr'])
  assert.is(several.code, 6)
  assert.match(
    several.stderr,
    /which company is kgc-sync to read\? There are: KGC, Other\. Set HORILLA_COMPANY/,
  )
  sql(
    'horilla',
    "UPDATE employee_employeeworkinformation SET company_id = NULL; DELETE FROM base_company WHERE company = 'Other'",
  )
  assert.match(
    stack.run(['admin', 'demo', 'horilla-hr']).stderr,
    'kgc-sync: was there, works in KGC',
  )
})

test('five wrong passwords lock a name from wherever it is tried, and no other name: behind one proxy Horilla finds no address', () => {
  const { KGC_HORILLA_PASSWORD, ADMIN_EMAIL, ADMIN_PASSWORD } = parse(
    readFileSync(join(stack.docker, '.env.demo')),
  )
  const logIn = (username: string, password: string, client: string) =>
    stack.engine(
      'exec',
      stack.container('horilla-web'),
      'curl',
      '-s',
      '-o',
      '/dev/null',
      '-w',
      '%{http_code}',
      '-H',
      'Host: localhost',
      '-H',
      'X-Forwarded-Proto: https',
      '-H',
      `X-Forwarded-For: ${client}`,
      '-H',
      'content-type: application/json',
      '-d',
      JSON.stringify({ username, password }),
      'http://127.0.0.1:8000/api/auth/login/',
    )
  for (let tries = 0; tries < 5; tries++)
    assert.is(logIn(ADMIN_EMAIL!, 'wrong', '203.0.113.7'), '401')
  assert.is(
    logIn(ADMIN_EMAIL!, ADMIN_PASSWORD!, '198.51.100.9'),
    '401',
    'the right one, from elsewhere',
  )
  assert.is(logIn('kgc-sync', KGC_HORILLA_PASSWORD!, '203.0.113.7'), '200')
  sql('horilla', 'DELETE FROM axes_accesslog')
})

test('a database stopped: smoke --quick says so, doctor says what mends it; started, all is green without a restart of anything else', async () => {
  const before = started()
  stack.engine('stop', stack.container('kgc-db'))
  const { code, stderr } = smoke('--quick')
  assert.is(code, 6)
  assert.match(stderr, 'kgc-db: ended: exit')
  assert.match(stderr, 'kgc-api: unhealthy')
  const doctor = stack.run(['bootstrap', '--doctor', '--environment', 'demo'])
  assert.is(doctor.code, 3)
  assert.match(doctor.stdout, /kgc-db.*make up MODE=demo/s)
  stack.engine('start', stack.container('kgc-db'))
  await waitUntil('green again', 60, () => smoke().code === 0)
  const after = started()
  for (const name of names().filter(name => name !== 'kgc-db'))
    assert.is(after[name], before[name], `${name} was not touched`)
})

test('a collation version that has moved under the indexes: doctor and smoke name it, and the command of doctor mends it', () => {
  sql('horilla', "UPDATE pg_database SET datcollversion = '1.2' WHERE datname = current_database()")
  const doctor = () =>
    stack.run(['bootstrap', '--doctor', '--environment', 'demo', '--json']).stdout
  const said =
    doctor()
      .split('\n')
      .find(line => line.includes('collation version 1.2')) ?? ''
  assert.match(said, 'horilla-db: the indexes of horilla')
  assert.match(smoke('--only', 'horilla-hr').stderr, 'collation version 1.2')
  const { next } = JSON.parse(said) as { next: string }
  const mended = spawnSync('sh', ['-c', next], { encoding: 'utf8' })
  assert.is(mended.status, 0, mended.stderr)
  assert.not.match(doctor(), 'collation version')
})

test('row security: off, the API sees the rows of all tenants; on, a role without a tenant sees none, and with one its own', async () => {
  sql(
    'kgc',
    `INSERT INTO tenants (name) VALUES ('A'), ('B'); ALTER TABLE tenants ENABLE ROW LEVEL SECURITY;
    CREATE POLICY own ON tenants USING (id::text = current_setting('app.current_tenant_id', true))`,
  )
  // Traefik hears of a new container a moment after it is healthy
  const seen = () =>
    waitUntil('the API answers', 30, () => [
      JSON.parse(curl('https://api.kgc.localhost:18061/api/v1/tenants')).count as number,
    ])
  const turn = (to: string) => {
    const file = join(stack.docker, 'kgc/.env.demo')
    writeFileSync(
      file,
      readFileSync(file, 'utf8').replace(/^KGC_DB_ROW_SECURITY=.*/m, `KGC_DB_ROW_SECURITY=${to}`),
    )
    const { code, stderr } = stack.run(['up', 'demo', 'kgc'])
    assert.is(code, 0, stderr)
  }
  const asTenant = (query: string) => {
    const psql =
      'PGPASSWORD=$DATABASE_APP_PASSWORD exec psql -qtAX -h "$HOSTNAME" -U kgc_app -d kgc -c "$0"'
    return stack.engine(
      'exec',
      stack.container('kgc-db'),
      'sh',
      '-c',
      psql,
      `SET app.current_tenant_id = '${sql('kgc', "SELECT id FROM tenants WHERE name = 'A'")}'; ${query}`,
    )
  }
  const all = Number(sql('kgc', 'SELECT count(*) FROM tenants'))
  assert.equal(await seen(), [all])
  turn('on')
  assert.equal(await seen(), [0], 'KGC sets no tenant yet')
  assert.is(asTenant('SELECT name FROM tenants'), 'A')
  assert.is(asTenant("UPDATE tenants SET name = 'C'; SELECT name FROM tenants"), 'C')
  assert.throws(
    () => asTenant("INSERT INTO tenants (name) VALUES ('D')"),
    'violates row-level security',
  )
  assert.throws(() => asTenant('DROP TABLE tenants'), 'must be owner')
  assert.is(sql('kgc', "SELECT count(*) FROM tenants WHERE name = 'B'"), '1')
  const { code, stderr } = smoke('--only', 'kgc')
  assert.is(code, 0, stderr)
  turn('off')
  assert.equal(await seen(), [all])
  sql(
    'kgc',
    "DROP POLICY own ON tenants; ALTER TABLE tenants DISABLE ROW LEVEL SECURITY; DELETE FROM tenants WHERE name IN ('B', 'C')",
  )
})

test('down keeps the data, and up finds it', () => {
  sql('twenty', "INSERT INTO core.person (first_name, last_name) VALUES ('kept', '')")
  assert.is(stack.run(['down', 'demo']).code, 0)
  assert.is(names().join(), '')
  const { code, stderr } = stack.run(['up', 'demo'])
  assert.is(code, 0, stderr)
  assert.is(sql('twenty', "SELECT count(*) FROM core.person WHERE first_name = 'kept'"), '1')
  const checked = smoke()
  assert.is(checked.code, 0, `with the administrators of before\n${checked.stderr}`)
})

test('purge asks at a terminal and refuses without one; confirmed, it leaves nothing', () => {
  assert.is(stack.run(['down', 'demo', '--purge']).code, 3)
  const { code, stderr } = stack.run(['down', 'demo', '--purge', '--yes'])
  assert.is(code, 0, stderr)
  const label = ['--filter', `label=com.docker.compose.project=${stack.project}`]
  assert.is(
    stack.engine('ps', '-aq', ...label) +
      stack.engine('volume', 'ls', '-q', ...label) +
      stack.engine('network', 'ls', '-q', ...label),
    '',
  )
})

test.run()
