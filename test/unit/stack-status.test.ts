import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { containersByService, type Container } from '../../scripts/lib/compose/containers.ts'
import {
  judgeStack,
  type ExpectedService,
  type StackStatus,
  type StackSnapshot,
} from '../../scripts/lib/compose/stack-status.ts'
import { configHashLabel } from '../../scripts/lib/compose/service-status.ts'
import { keepSecret } from '../../scripts/lib/redact.ts'
import { likelyCause, linesBefore } from '../../scripts/lib/compose/failure-report.ts'
import { looks, recordings } from './recreate-recordings.ts'

const test = suite('health')
const now = Date.parse('2026-11-24T12:00:00Z')
const at = (seconds: number) => new Date(now + seconds * 1000).toISOString()

const expected = (change: Partial<ExpectedService> = {}): ExpectedService => ({
  service: 'x',
  oneShot: false,
  dependencies: [],
  hash: 'new',
  image: 'i',
  ...change,
})
const container = (
  state: Partial<Container['State']> = {},
  restarts = 0,
  { id = 'a', service = 'x', hash = 'new' } = {},
): Container => ({
  Id: id,
  Name: `/${service}`,
  Created: at(-60),
  Image: 'i',
  RestartCount: restarts,
  Config: {
    Labels: { [configHashLabel]: hash, 'com.docker.compose.service': service },
    Image: 'x',
    Healthcheck: { Interval: 1e9, Retries: 3 },
  },
  State: {
    Status: 'running',
    ExitCode: 0,
    OOMKilled: false,
    Error: '',
    StartedAt: at(-60),
    FinishedAt: at(-61),
    ...state,
  },
})
const health = (Status: string, Output = '') => ({
  Health: { Status, Log: Output ? [{ Start: at(-1), End: at(-1), ExitCode: 1, Output }] : [] },
})
const look = (
  seen: Container[],
  more: { before?: Container[]; code?: number; seconds?: number } = {},
): StackSnapshot => ({
  at: now + (more.seconds ?? 0) * 1000,
  containers: containersByService(seen),
  containersBefore: new Map((more.before ?? []).map(one => [one.Id, one])),
  composeExitCode: more.code,
})
/**
 * The verdict on one service, Compose being at work unless a code is given: `failed: ended: exit
 * 1`.
 */
function verdict(
  one: Container,
  more: Parameters<typeof look>[1] = {},
  change: Partial<ExpectedService> = {},
): string {
  const { state, detail } = judgeStack([expected(change)], look([one], more)).verdicts[0]!
  return `${state}: ${detail}`
}

test('no container is absent', () => {
  assert.is(judgeStack([expected()], look([])).verdicts[0]!.state, 'absent')
})

test('without a health check, running counts after 5 s and not before', () => {
  assert.is(verdict(container({ StartedAt: at(-4) })), 'waiting: settling')
  assert.is(verdict(container({ StartedAt: at(-5) })), 'ready: running')
})

test('a crash loop is named while Compose works, though it runs right now; two restarts are none; its exit code is known when it does not run', () => {
  assert.is(verdict(container({ StartedAt: at(-1) }, 3)), 'failed: crash loop: 3 restarts')
  assert.is(
    verdict(container({ Status: 'restarting', ExitCode: 7 }, 3)),
    'failed: crash loop: exit 7, 3 restarts',
  )
  assert.match(verdict(container({ Status: 'restarting' }, 2)), 'waiting: restarting')
})

test('restarts from before do not count, those since do, and a start by hand begins anew', () => {
  const before = [container({}, 9)]
  const again = { StartedAt: at(-1) }
  assert.is(verdict(container({}, 9), { before, code: 0 }), 'ready: running')
  assert.match(verdict(container(again, 12), { before }), 'failed: crash loop')
  assert.match(verdict(container(again, 3), { before }), 'failed: crash loop')
  assert.match(verdict(container(again, 2), { before }), 'waiting')
})

test('an old container that Compose is about to replace cannot fail (docker/compose: `up` calls running, exited, removing and unhealthy what it replaces)', () => {
  const old = (state: Partial<Container['State']> = {}, restarts = 0) =>
    container(state, restarts, { hash: 'old' })
  const before = [old()]
  for (const state of [
    health('healthy'),
    health('unhealthy', 'gone'),
    { Status: 'exited', ExitCode: 143 },
    { Status: 'restarting', StartedAt: at(-1) },
    { Status: 'created', Error: 'no' },
  ])
    assert.is(verdict(old(state, 4), { before }), 'waiting: being replaced', JSON.stringify(state))
  assert.is(
    verdict(old({ Status: 'removing', ...health('unhealthy') }), { before }),
    'waiting: being removed',
  )
  assert.is(
    verdict(old(health('healthy')), { before, code: 1 }),
    'waiting: has an older configuration',
    'Compose gave up',
  )
  assert.is(
    verdict(container({ Status: 'removing', ...health('unhealthy') }), { before: [container()] }),
    'waiting: being removed',
    'its label is the wanted one',
  )
})

test('an unchanged one that is stopped or ill while Compose works may be replaced too; once Compose is done it has failed', () => {
  const before = [container(health('healthy'))]
  assert.match(verdict(container({ Status: 'exited', ExitCode: 143 }), { before }), 'waiting')
  assert.is(
    verdict(container({ Status: 'exited', ExitCode: 143 }), { before, code: 0 }),
    'failed: ended: exit 143',
  )
  assert.match(verdict(container(health('unhealthy', 'curl: (7)')), { before }), 'waiting')
  assert.match(
    verdict(container({ Status: 'exited', ExitCode: 1 }), {}),
    'failed: ended: exit 1',
    'a new container has really ended',
  )
})

test('an error of before this run does not count, nor that of a start that was called off; a new one is named', () => {
  const bad = container({ Status: 'created', Error: 'port is already allocated' })
  assert.match(verdict(bad, { before: [bad] }), 'waiting')
  assert.is(
    verdict(bad, { before: [bad], code: 1 }),
    'failed: cannot be started: port is already allocated',
    'Compose has not got further',
  )
  assert.is(verdict(bad), 'failed: cannot be started: port is already allocated')
  assert.match(
    verdict(container({ Status: 'created', Error: 'context canceled' }), { code: 1 }),
    'waiting',
  )
})

test('healthy after a fresh restart is not yet believed', () => {
  const fresh = { ...health('healthy'), StartedAt: at(-2) }
  assert.match(verdict(container(fresh, 1)), 'waiting')
  assert.is(verdict(container(fresh)), 'ready: healthy')
})

test('starting is waited for, unhealthy fails with what the check said', () => {
  assert.match(verdict(container(health('starting'))), 'waiting')
  assert.is(
    verdict(container(health('unhealthy', 'curl: (7) refused\n'))),
    'failed: unhealthy: curl: (7) refused',
  )
})

test('half a secret is one, too: it is taken out before the answer is cut', () => {
  keepSecret('canary-7f3a91c2')
  assert.not.match(
    verdict(container(health('unhealthy', `${'x'.repeat(190)} canary-7f3a91c2`))),
    'canary',
  )
})

/**
 * Looks in a row at `web` and its `worker`, as judged one after the other, `needs` of the worker;
 * out: the worker's verdicts.
 */
function row(
  dependencies: string[],
  ...steps: { web: Container; worker: Container; seconds: number; code?: number }[]
): string[] {
  const both = [expected({ service: 'web' }), expected({ service: 'worker', dependencies })]
  const before = [steps[0]!.web, steps[0]!.worker]
  let judged: StackStatus | undefined
  return steps.map(({ web, worker, ...more }) => {
    judged = judgeStack(both, look([web, worker], { before, ...more }), judged)
    return judged.verdicts[1]!.state
  })
}

test('a healthy service waits while what it needs is re-created, and fails when it stays ill for interval × retries after that is ready', () => {
  const web = (id: string, state: string) =>
    container(health(state), 0, { id, service: 'web', hash: id === 'old' ? 'old' : 'new' })
  const worker = (state: string) =>
    container(health(state, 'curl: (7) no web'), 0, { id: 'w', service: 'worker' })
  const ill = [
    { web: web('old', 'healthy'), worker: worker('healthy'), seconds: 0 },
    { web: web('w2', 'starting'), worker: worker('unhealthy'), seconds: 5 },
    { web: web('w2', 'starting'), worker: worker('unhealthy'), seconds: 10, code: 0 },
    { web: web('w2', 'healthy'), worker: worker('unhealthy'), seconds: 15, code: 0 },
  ]
  const then = (state: string, seconds: number) => ({
    web: web('w2', 'healthy'),
    worker: worker(state),
    seconds,
    code: 0,
  })
  for (const needs of [['web'], []]) {
    assert.equal(
      row(needs, ...ill, then('healthy', 16)),
      ['ready', 'waiting', 'waiting', 'waiting', 'ready'],
      needs.join(),
    )
    assert.equal(
      row(needs, ...ill, then('unhealthy', 16), then('unhealthy', 19)).slice(3),
      ['waiting', 'waiting', 'failed'],
      needs.join(),
    )
  }
})

test('crashes while what it needs is away do not count, those after do', () => {
  const web = (state: string) => container(health(state), 0, { service: 'web', id: 'v' })
  const worker = (restarts: number) =>
    container({ Status: 'restarting', StartedAt: at(restarts) }, restarts, {
      service: 'worker',
      id: 'w',
    })
  const steps = [
    { web: web('starting'), worker: worker(0), seconds: 0 },
    { web: web('starting'), worker: worker(5), seconds: 5 },
    { web: web('healthy'), worker: worker(7), seconds: 9 },
    { web: web('healthy'), worker: worker(8), seconds: 20 },
  ]
  assert.equal(row(['web'], ...steps), ['waiting', 'waiting', 'waiting', 'failed'])
})

test('a one-shot is ready when it has ended with 0 and failed otherwise', () => {
  const done = (ExitCode: number) =>
    container({ Status: 'exited', ExitCode, StartedAt: at(-1), FinishedAt: at(-1) })
  const oneShot = { oneShot: true }
  assert.is(verdict(done(0), {}, oneShot), 'ready: done')
  assert.is(verdict(done(3), {}, oneShot), 'failed: ended: exit 3')
  assert.match(verdict(container(), {}, oneShot), 'waiting')
  const before = [container({ Status: 'exited', ExitCode: 1 })]
  assert.match(
    verdict(before[0]!, { before, code: 1 }, oneShot),
    'waiting',
    'it failed in an earlier run',
  )
  assert.is(
    verdict(done(3), { before, code: 1 }, oneShot),
    'failed: ended: exit 3',
    'it was started again',
  )
})

test('a long-running service that ended with 0 has failed all the same; out of memory is named', () => {
  assert.is(verdict(container({ Status: 'exited' })), 'failed: ended: exit 0')
  assert.match(
    verdict(container({ Status: 'exited', ExitCode: 137, OOMKilled: true })),
    /exit 137, out of memory/,
  )
})

for (const name of recordings)
  test(`a real re-creation, as recorded: nothing fails at any moment, and it ends ready (${name})`, () => {
    const { expected, steps } = looks(name)
    let judged: StackStatus | undefined
    for (const [i, step] of steps.entries()) {
      judged = judgeStack(expected, step, judged)
      assert.equal(
        judged.verdicts.filter(({ state }) => state === 'failed'),
        [],
        `look ${i}`,
      )
      if (i === steps.length - 1)
        assert.equal(
          judged.verdicts.filter(({ state }) => state !== 'ready'),
          [],
        )
    }
  })

test('no network left is named in the words of every engine (moby: `non-overlapping` until 25, `fully subnetted` from 26 on), and its siblings', () => {
  const none = /docker network prune/
  assert.match(
    likelyCause(
      'could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the network',
    )!,
    none,
  )
  assert.match(
    likelyCause(
      'failed to create network x: all predefined address pools have been fully subnetted',
    )!,
    none,
  )
  assert.match(likelyCause('write /var/lib/docker/x: no space left on device')!, /disk is full/)
  for (const words of [
    'Bind for 127.0.0.1:80 failed: port is already allocated',
    'failed to bind host port 127.0.0.1:80/tcp: address already in use',
  ])
    assert.match(likelyCause(words)!, /the port/)
})

test('redis/redis#5177, netbox-community/netbox-docker#1121: a damaged append-only file is named with what repairs it', () => {
  const log =
    '1:M 29 Nov # Bad file format reading the append only file appendonly.aof.1.incr.aof: make a backup of your AOF file, then use ./redis-check-aof --fix <filename.manifest>'
  assert.match(likelyCause(log)!, /redis-check-aof --fix/)
})

test('of a crash loop what was said before the last end is shown, not the beginning of the next try', () => {
  const log =
    '2026-11-28T23:37:15.100000001Z selecting\n2026-11-28T23:37:15.782Z FATAL:  no space\n2026-11-28T23:37:16.9Z selecting\n'
  assert.equal(linesBefore(log, Date.parse('2026-11-28T23:37:15.79Z')), [
    'selecting',
    'FATAL:  no space',
  ])
  assert.equal(linesBefore(log, Infinity).length, 3)
})

test.run()
