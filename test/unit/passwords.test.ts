// Passwords of databases and Redis on Kubernetes: what a change does for them, and in which order.
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { configChecksumAnnotation } from '../../scripts/lib/deploy/apply/checksums.ts'
import type { Change } from '../../scripts/lib/deploy/change.ts'
import { letPodsIn, shutOutOld } from '../../scripts/lib/deploy/rotation/accept.ts'
import { longestGap, type PodSighting } from '../../scripts/lib/deploy/rotation/gaps.ts'
import { findLateServers } from '../../scripts/lib/deploy/rotation/late-servers.ts'
import { findOldReaders } from '../../scripts/lib/deploy/rotation/readers.ts'
import { restoreRelease } from '../../scripts/lib/deploy/restore.ts'
import { endRotation } from '../../scripts/lib/deploy/rotation/step.ts'
import { applyChange, restartServers, watchChange } from '../../scripts/lib/deploy/steps.ts'
import { Failure } from '../../scripts/lib/errors.ts'
import type { Manifest, Pod } from '../../scripts/lib/kubernetes/objects.ts'
import { findOldPasswords } from '../../scripts/lib/kubernetes/rotation/access.ts'
import type { ServerShell } from '../../scripts/lib/kubernetes/rotation/credentials.ts'
import { findPasswordServers } from '../../scripts/lib/kubernetes/rotation/servers.ts'
import { environment, withFakeKubectl } from './fake-kubectl.ts'
import { createNotingTarget } from './noting-target.ts'

const test = suite('passwords')
const from = (name: string, key: string) => ({
  name,
  valueFrom: { secretKeyRef: { name: 'kgc-secrets', key } },
})
const workload = (kind: string, name: string, container: string, env: object[], stamp: string) => ({
  ...{ apiVersion: 'apps/v1', kind, metadata: { name } },
  spec: {
    template: {
      metadata: { annotations: { [configChecksumAnnotation]: stamp } },
      spec: { containers: [{ name: container, image: 'x', env }] },
    },
  },
})
const databaseEnv = [
  { name: 'POSTGRES_DB', value: 'kgc' },
  from('DATABASE_LOGIN', 'KGC_DB_LOGIN'),
  from('POSTGRES_PASSWORD', 'KGC_DB_PASSWORD'),
]
/** A release; `stamp` is that of what reads the passwords. */
const release = (stamp: string): Manifest[] => [
  { kind: 'SealedSecret', metadata: { name: 'kgc-secrets' }, spec: { encryptedData: {} } },
  workload('StatefulSet', 'kgc-db', 'postgres', databaseEnv, 'same'),
  workload(
    'StatefulSet',
    'kgc-redis',
    'redis',
    [from('REDIS_PASSWORD', 'KGC_REDIS_PASSWORD')],
    stamp,
  ),
  workload(
    'Deployment',
    'kgc-api',
    'api',
    [from('P', 'KGC_DB_PASSWORD'), from('R', 'KGC_REDIS_PASSWORD')],
    stamp,
  ),
]
const [database, redis] = findPasswordServers(release('1')) as [any, any]

/** A database with two logins and a Redis, whose Secret says kgc_b and `new`. */
function play({ sessions = {} as Record<string, number>, ready = 'True' } = {}) {
  const roles: Record<string, string | undefined> = { kgc_a: 'old', kgc_b: undefined }
  let passwords = ['old']
  const said: string[] = []
  const shell: ServerShell = async (_, script, input) => {
    const answer = (stdout: string, code = 0) => ({ code, stdout, stderr: '', ms: 1 })
    assert.not.match(script, /new|old\b/, 'a password in an argument')
    const [line = ''] = input.split('\n')
    const login = /-U '(\w+)'/.exec(script)?.[1] ?? /password (\w+)'/.exec(script)?.[1] ?? ''
    if (/SELECT 1|grep -q PONG/.test(script)) {
      const good = login ? roles[login] === line : passwords.includes(line)
      return answer('', good ? 0 : 1)
    }
    said.push(login ? `${login} ${line}` : line.replace(/SELECT.*usename = /, 'sessions of '))
    if (login) roles[login] = line
    const other = /ALTER ROLE "(\w+)" PASSWORD NULL/.exec(line)?.[1]
    if (other) roles[other] = undefined
    if (line.startsWith('ACL SETUSER')) passwords.push(line.split('>')[1]!)
    if (script.includes('resetpass')) passwords = [line]
    if (line.startsWith('ACL GETUSER'))
      return answer(passwords.map(() => 'a'.repeat(64)).join('\n'))
    const asked = /usename = '(\w+)'/.exec(line)?.[1]
    if (asked) return answer(String(sessions[asked] ?? 0))
    const named = /rolname = '(\w+)'/.exec(line)?.[1]
    return answer(named && roles[named] ? named : '')
  }
  const encode = (value: string) => Buffer.from(value).toString('base64')
  const secret = {
    ...{ kind: 'Secret', metadata: { name: 'kgc-secrets' } },
    data: {
      KGC_DB_LOGIN: encode('kgc_b'),
      KGC_DB_PASSWORD: encode('new'),
      KGC_REDIS_PASSWORD: encode('new'),
    },
  }
  const pod = {
    kind: 'Pod',
    metadata: { name: 'p' },
    status: { conditions: [{ type: 'Ready', status: ready }] },
  }
  const find = async (resource: string): Promise<Manifest> =>
    resource === 'v1/pods' ? pod : secret
  return { access: { shell, find }, roles, said, passwords: () => passwords }
}
const held = () => undefined
const quiet = <T>(work: () => Promise<T>) => withFakeKubectl('exit 9', work)

test('servers are told from what reads their password; one whose login is fixed is one, too', () => {
  assert.equal(
    [database.database, database.login, redis.password],
    [
      'kgc',
      { secret: 'kgc-secrets', key: 'KGC_DB_LOGIN' },
      { secret: 'kgc-secrets', key: 'KGC_REDIS_PASSWORD' },
    ],
  )
  const env = databaseEnv.map(one =>
    one.name === 'DATABASE_LOGIN' ? { name: one.name, value: 'kgc_a' } : one,
  )
  assert.equal(
    findPasswordServers([workload('StatefulSet', 'kgc-db', 'postgres', env, '')])[0]!.login,
    {
      value: 'kgc_a',
    },
  )
})

test('a new password is let in beside the old one, and once only', async () => {
  const { access, roles, said, passwords } = play()
  const work = () => letPodsIn(environment, [database, redis], held, access)
  assert.equal((await quiet(work)).value, [database, redis])
  assert.equal([roles, passwords()], [{ kgc_a: 'old', kgc_b: 'new' }, ['old', 'new']])
  const before = said.length
  assert.equal((await quiet(work)).value, [])
  assert.is(said.length, before)
})

test('a password is not changed under pods that are logged in with it, and a server that is not ready is not asked', async () => {
  const { access, roles } = play({ sessions: { kgc_b: 2 } })
  const { error } = await quiet(() => letPodsIn(environment, [database], held, access))
  assert.match((error as Failure).why, 'logged in as kgc_b')
  assert.match((error as Failure).next!, '--rotate KGC_DB_PASSWORD')
  assert.is(roles.kgc_b, undefined)
  const down = play({ ready: 'False' })
  await quiet(() => letPodsIn(environment, [database, redis], held, down.access))
  assert.equal(down.said, [])
})

test('the old one goes when no older pod is left; else that is said and left to the next deploy', async () => {
  const old = play()
  await quiet(() => letPodsIn(environment, [database, redis], held, old.access))
  const end = (left: string[], access = old.access) =>
    quiet(() => shutOutOld(environment, release('1'), held, access, async () => left))
  assert.match(
    (await end(['kgc-api-1'])).said,
    'kgc-db may let in an older KGC_DB_PASSWORD, too (kgc-api-1',
  )
  assert.equal([old.roles.kgc_a, old.passwords()], ['old', ['old', 'new']])
  const found = () => findOldPasswords(release('1'), old.access)
  assert.equal(await found(), ['KGC_DB_PASSWORD of kgc-db', 'KGC_REDIS_PASSWORD of kgc-redis'])
  assert.match((await end([])).said, 'the old login kgc_a is refused from now on')
  assert.equal(await found(), [])
  assert.equal([old.roles, old.passwords()], [{ kgc_a: undefined, kgc_b: 'new' }, ['new']])
  const busy = play({ sessions: { kgc_a: 1 } })
  await quiet(() => letPodsIn(environment, [redis], held, busy.access))
  busy.roles.kgc_b = 'new'
  assert.match((await end([], busy.access)).said, '1 sessions of kgc_a are open')
  assert.is(busy.roles.kgc_a, 'old')
})

test('older pods: those of another stamp or on their way out that read the password', () => {
  const pod = (
    name: string,
    stamp: string,
    more: object = {},
    key = 'KGC_DB_PASSWORD',
    phase = 'Running',
  ) =>
    ({
      kind: 'Pod',
      metadata: { name, annotations: { [configChecksumAnnotation]: stamp }, ...more },
      spec: { containers: [{ name: 'x', env: [from('P', key)] }] },
      status: { phase },
    }) as unknown as Pod
  const pods = [
    pod('new', '2'),
    pod('old', '1'),
    pod('going', '2', { deletionTimestamp: 'now' }),
    pod('other', '1', {}, 'KGC_JWT_SECRET'),
    pod('ended', '1', {}, undefined, 'Succeeded'),
    pod('kgc-db-0', '0'),
  ]
  assert.equal(
    findOldReaders(pods, release('2'), [database]).map(({ metadata }) => metadata.name),
    ['old', 'going'],
  )
})

test('a Redis whose settings change waits; on the way back only when nothing else of it does', () => {
  const names = (...argv: Parameters<typeof findLateServers>) =>
    findLateServers(...argv).map(({ metadata }) => metadata.name)
  assert.equal(names(release('2'), release('1')), ['kgc-redis'])
  assert.equal(names(release('2'), release('2')), [])
  assert.equal(names(release('2'), []), [])
  const broken = release('1')
  broken[2]!.spec.template.spec.containers[0].image = 'broken'
  assert.equal(names(release('2'), broken), ['kgc-redis'])
  assert.equal(names(release('2'), broken, { alone: true }), [])
})

/** A change from release 1 to 2, and what its target was asked for. */
function change() {
  const calls: string[] = []
  const noting = createNotingTarget(calls, false)
  const note = async <T>(words: string, value: T) => {
    calls.push(words)
    return value
  }
  const target = {
    ...noting,
    apply: {
      ...noting.apply,
      change: async (
        ...[wait, objects, jobs, onApplied, onSecrets]: Parameters<typeof noting.apply.change>
      ) => {
        await onSecrets?.()
        await noting.apply.change(wait, objects, jobs, onApplied)
      },
      restore: async (...[plan, loss, onApplied]: Parameters<typeof noting.apply.restore>) => {
        await plan.onSecrets?.()
        await noting.apply.restore(plan, loss, onApplied)
      },
    },
    passwords: {
      ...noting.passwords,
      letIn: (servers: (typeof database)[]) =>
        note(`let in ${servers.map(({ name }) => name).join()}`, servers),
      waitForOldReaders: () => note('wait for readers', []),
      shutOutOld: () => note('shut out', undefined),
    },
  }
  const good = { number: 4, ending: 'succeeded', manifests: release('1'), images: {} }
  const names = ['SealedSecret kgc-secrets', 'StatefulSet kgc-redis', 'Deployment kgc-api']
  const one = {
    ...{ environment, target, verb: 'deploy', source: {}, appliedObjects: [], versions: new Map() },
    lock: { recordPhase: async () => {}, lossFailure: held, clockOffsetMs: 0 },
    rotation: { changed: [], late: [] },
    release: { number: 5, ending: 'applying', created: [] },
    plan: { created: [], changed: names, removed: [], generated: [], jobs: [] },
    facts: { history: [good], manifests: release('2'), live: release('1') },
  } as unknown as Change
  return { calls, one }
}

test('servers let the new password in, pods get it, Redis restarts, and the old one goes', async () => {
  const { calls, one } = change()
  const { error, said } = await quiet(async () => {
    await watchChange(one, await applyChange(one))
    await restartServers(one)
    await endRotation(one)
  })
  assert.is(error?.stack, undefined)
  assert.equal(calls, [
    'let in kgc-db,kgc-redis',
    'apply SealedSecret kgc-secrets,Deployment kgc-api',
    'watch',
    'wait for readers',
    'apply StatefulSet kgc-redis',
    'watch',
    'shut out',
  ])
  assert.match(said, /service +away\n +kgc-db +-\n +kgc-redis +-\n +kgc-api +-/)
})

test('the way back lets the old one in first, and its Redis waits, too', async () => {
  const { calls, one } = change()
  await quiet(async () => {
    await watchChange(one, await applyChange(one))
    await restartServers(one)
    calls.length = 0
    await restoreRelease(one, new Failure(6, 'Smoke', 'x'))
  })
  assert.equal(calls.slice(0, -1), [
    'let in kgc-db,kgc-redis',
    'restore SealedSecret kgc-secrets,Deployment kgc-api',
    'watch',
    'wait for readers',
    'restore StatefulSet kgc-redis',
    'watch',
    // with the smoke test
    'watch',
  ])
})

test('a service was away from its last ready pod to the next one', () => {
  const at = (seconds: number, pod: string, ready: boolean, service = 'api'): PodSighting => ({
    ...{ at: seconds * 1000, service, pod, ready },
  })
  const rolled = [at(0, 'a', true), at(1, 'b', false), at(3, 'b', true), at(4, 'a', false)]
  assert.is(longestGap(rolled, 'api'), 0)
  const restarted = [at(0, 'a', true), at(1, 'a', false), at(5, 'a', true), at(6, 'x', false, 'db')]
  assert.is(longestGap(restarted, 'api'), 4000)
  assert.is(longestGap(restarted, 'db'), 0)
})

test.run()
