// Each check of smoke and doctor has a row in checks.yaml; and faults on which checks are shown that
// no other test injects.
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { likelyCause } from '../../scripts/lib/compose/failure-report.ts'
import { needsCause } from '../../scripts/lib/doctor/container-facts.ts'
import { judgeIgnored } from '../../scripts/lib/doctor/env-files.ts'
import {
  judgeLayouts,
  judgeMounts,
  judgeOwner,
  judgeStores,
} from '../../scripts/lib/doctor/storage.ts'
import { loadAppModules } from '../../scripts/lib/smoke/app-modules.ts'
import { type SmokeCheck, type SmokeContext } from '../../scripts/lib/smoke/checks.ts'
import { databaseChecks } from '../../scripts/lib/smoke/database.ts'
import { rejectTraefikAnswers } from '../../scripts/lib/smoke/doors.ts'
import { listChecks } from '../../scripts/lib/smoke/list.ts'
import { requireLine } from '../../scripts/lib/smoke/monitoring.ts'
import { checkTable, readCheckRows } from '../checks.ts'
import { repository, sandbox } from '../sandbox.ts'
import { hasTest } from '../table.ts'

const test = suite('checks')

test('every check of `smoke --list` and of doctor has one row with a test that is there, and no row stands for nothing', async () => {
  const listed = sandbox().script(['smoke', '--list', '--json'])
  assert.is(listed.code, 0, listed.stderr)
  const { checks } = listed.stdout
    .trim()
    .split('\n')
    .map(line => JSON.parse(line))
    .find(({ event }) => event === 'result') as { checks: { name: string }[] }
  assert.equal(
    checks.map(({ name }) => name),
    (await listChecks()).map(({ name }) => name),
  )
  const folder = join(repository, 'scripts/lib/doctor')
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  const judges = files
    .filter(file => file.endsWith('.ts'))
    .flatMap(file =>
      [
        ...readFileSync(join(folder, file), 'utf8').matchAll(
          /^export (?:const|function) (judge\w+)/gm,
        ),
      ].map(([, name]) => name ?? ''),
    )
  assert.ok(checks.length > 40 && judges.length > 25)
  const isOf = (name: string, row: string) =>
    row === name || (row.startsWith('*: ') && name.endsWith(row.slice(1)))
  const all = [...checks.map(({ name }) => name), ...judges]
  const rows = readCheckRows().map(({ check }) => check)
  assert.equal(
    all.filter(name => rows.filter(row => isOf(name, row)).length !== 1),
    [],
    'without a row, or with two',
  )
  assert.equal(
    rows.filter(row => !all.some(name => isOf(name, row))),
    [],
    'rows of no check',
  )
  const wanting = checkTable().rows.filter(({ tests }) => !tests.length || !tests.every(hasTest))
  assert.equal(
    wanting.map(({ name }) => name),
    [],
  )
})

type Edge = SmokeContext['edge']
const answer = (status: number, body: string, type: string): Edge => ({
  get: async () => ({ status, body, headers: new Headers({ 'content-type': type }), ms: 1 }),
  websocket: async () => '',
})
/** A stack in which commands print `printed`, or what it makes of service and command. */
const played = (edge: Edge, printed: SmokeContext['exec'] = async () => ''): SmokeContext => ({
  edge,
  address: name => `https://${name}.kgc.hu`,
  env: new Proxy({}, { get: (_, key) => (key === 'KGC_API_DOCS' ? '' : 'x@kgc.hu') }),
  exec: printed,
  logs: async () => '',
  logCommand: service => `logs ${service}`,
  disposable: true,
})
const modules = await loadAppModules<{ checks: SmokeCheck[] }>('smoke.ts')
const checkOf = (folder: string, name: string): SmokeCheck['run'] => {
  const found = modules.find(one => one.folder === folder)?.checks.find(one => one.name === name)
  if (!found) throw new Error(`no ${folder}: ${name}`)
  return found.run
}
/** Why a check is red; '' when it is green. */
const redness = (run: SmokeCheck['run'], context: SmokeContext): Promise<string> =>
  run(context).then(
    () => '',
    (error: Error) => error.message,
  )

/** Green where nothing is there at all; what makes them red is tested by itself. */
const silent = {
  'another program': [
    'chatwoot: no job waits longer than 5 minutes',
    'horilla-hr: the pages that initialise a database are closed',
    'twenty-crm: no job waits longer than 5 minutes',
  ],
  nobody: [
    'chatwoot: no job waits longer than 5 minutes',
    'twenty-crm: no job waits longer than 5 minutes',
  ],
}

test('every check of an application is red when another program answers in its place, and when nobody does', async () => {
  const edges = {
    'another program': answer(200, 'It works!', 'text/plain'),
    nobody: answer(503, 'no available server\n', 'text/plain'),
  }
  for (const kind of ['another program', 'nobody'] as const) {
    const green = modules.flatMap(({ folder, checks }) =>
      checks
        // a server from outside has no container: that is asked of the queries, below
        .filter(({ name }) => !/its database (sorts|takes)|superuser/.test(name))
        .map(async ({ name, run }) => {
          const edge = kind === 'nobody' ? rejectTraefikAnswers(edges[kind], folder) : edges[kind]
          return (await redness(run, played(edge))) ? [] : [`${folder}: ${name}`]
        }),
    )
    assert.equal((await Promise.all(green)).flat().sort(), silent[kind], kind)
  }
})

test('a job that waits too long, and a worker without a sign of life, are red', async () => {
  const edge = answer(200, '', 'text/plain')
  const says = (text: string) => played(edge, async () => text)
  const late = 'no job waits longer than 5 minutes'
  assert.match(
    await redness(checkOf('twenty-crm', late), says('messaging-queue 7\n')),
    'messaging-queue 7 still waits: the worker does not take them',
  )
  assert.match(
    await redness(checkOf('chatwoot', late), says('mailers (3)\n')),
    'jobs wait too long in mailers (3)',
  )
  const alive = checkOf('chatwoot', 'Sidekiq is alive')
  assert.is(await redness(alive, says('5\n')), '')
  assert.match(await redness(alive, says('90\n')), 'the last heartbeat is 90 s old')
  assert.match(await redness(alive, says('')), 'no process has a heartbeat')
  const queues = checkOf('twenty-crm', 'the worker is connected to its queues')
  assert.is(await redness(queues, says('id=1 name=bull:ZW1haWw= age=1\n')), '')
  assert.match(await redness(queues, says('id=1 name= age=1\n')), 'no worker is connected')
})

test('a database that sorts otherwise, or whose logins may do all, is red', async () => {
  const run = (name: string, row: string) => {
    const check = databaseChecks('x-db').find(one => one.name === name)
    if (!check) throw new Error(`no ${name}`)
    return redness(
      check.run,
      played(answer(200, '', 'x'), async () => `${row}\n`),
    )
  }
  const order = 'its database sorts as Hungarian'
  const right = 'Ádám, Anna, Cukor, Csilla, Éva, Zsolt'
  assert.is(await run(order, `${right}|C|i|hu-HU|153.1|153.1`), '')
  assert.match(
    await run(order, 'Anna, Csilla, Cukor, Zsolt, Ádám, Éva|C|c||1|1'),
    'it sorts Anna, Csilla',
  )
  assert.match(await run(order, `${right}|C|i|hu-HU|153.1|153.9`), 'collation version 153.1')
  const rights = 'it is no superuser of its database'
  assert.is(await run(rights, 'kgc_a|f'), '')
  assert.match(await run(rights, 'postgres|t'), 'postgres logs in and can bypass the rules')
  assert.match(await run(rights, ''), 'none of the roles')
})

test('a line that never reaches Loki is red, and one that does is found', async () => {
  const loki = (...results: unknown[][]) => ({
    askJson: async <T>() => ({ data: { result: results.shift() ?? [] } }) as T,
  })
  assert.match(await requireLine(loki([], [{}]), 'smoke-1', 5_000), /^after \d/)
  const error = await requireLine(loki(), 'smoke-1', 600).catch((error: Error) => error)
  assert.match((error as Error).message, 'Loki has no line of Traefik with smoke-1')
})

test('doctor: what reaches no service, belongs to another clone, cannot be read, has another secret or is old, is named with its remedy', () => {
  const database = {
    service: 'x-db',
    image: 'i',
    volume: 'kgc_x-data',
    login: 'x_a',
  } as Parameters<typeof judgeLayouts>[1][number]
  const fit = { store: database, misfits: ['X_DB_PASSWORD'], recorded: true }
  const closed = { service: 'traefik', path: '/srv/rules', user: 'root' }
  const stack = { mode: 'prod', project: 'kgc', suffix: '' }
  const findings = [
    ...judgeIgnored([{ file: 'infra/docker/x/extra.env', key: 'A' }]),
    ...judgeOwner('kgc', ['/srv/other']),
    ...judgeMounts([closed]),
    ...judgeStores([fit, { ...fit, misfits: [] }]),
    ...judgeLayouts(stack, [database]),
  ]
  assert.is(findings.length, 5)
  assert.ok(findings.every(({ severity, next }) => severity === 'error' && next))
  const words = findings.map(({ what, next }) => `${what} → ${next}`)
  for (const [i, pattern] of [
    /extra\.env: A reaches no service/,
    /started from \/srv\/other, not from here → make -C \/srv\/other doctor/,
    /^traefik runs as root and cannot read \/srv\/rules → chmod .*\/srv\/rules/,
    /kgc_x-data was written with another X_DB_PASSWORD than the env files hold/,
    /kgc_x-data is older .* it has no role x_a/,
  ].entries())
    assert.match(words[i] ?? '', pattern)
})

test('Tecnativa/docker-socket-proxy#124, traefik/traefik#11396: a kernel without IPv6 and inotify instances that are used up are named by doctor', () => {
  const rows: [string, RegExp][] = [
    [
      'cannot create receiving socket (Address family not supported by protocol) for [:::2375]',
      /the kernel has no IPv6.*DISABLE_IPV6=1/,
    ],
    ['error creating file watcher: too many open files', /sysctl -w fs\.inotify/],
  ]
  for (const [line, cause] of rows) assert.match(likelyCause(line) ?? '', cause)
  // the first loops, the second goes on running without its rules
  const state = (more: object) => ({ ExitCode: 0, ...more }) as Parameters<typeof needsCause>[0]
  assert.ok(needsCause(state({ Status: 'restarting' })))
  assert.ok(needsCause(state({ Status: 'exited', ExitCode: 1 })))
  assert.ok(needsCause(state({ Status: 'running', Health: { Status: 'unhealthy' } })))
  assert.not.ok(needsCause(state({ Status: 'running', Health: { Status: 'healthy' } })))
  assert.not.ok(needsCause(state({ Status: 'exited' })))
})

test.run()
