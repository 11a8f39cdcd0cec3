// What a wait says of those that it waits for: their own last words, now and then, without a
// secret.
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Container } from '../../scripts/lib/compose/containers.ts'
import { watchServices, type WatchOptions } from '../../scripts/lib/compose/watch.ts'
import { describeHealth } from '../../scripts/lib/compose/health-probe.ts'
import { findLastLogLine, createLogPoller } from '../../scripts/lib/log-poller.ts'
import { keepSecret } from '../../scripts/lib/redact.ts'
import { fetchLastLogLines } from '../../scripts/lib/rollout/last-log-lines.ts'
import { createRolloutProgress } from '../../scripts/lib/rollout/progress.ts'
import { environment, withFakeKubectl } from './fake-kubectl.ts'

const test = suite('log poller')
const secret = 'canary-5d20e7b1'
keepSecret(secret)

/**
 * Does `work` while the clock, but no timer, runs 50 times as fast; returns what was said on
 * stderr.
 */
async function hurried(work: () => Promise<unknown>): Promise<string> {
  const [now, write, start] = [Date.now, process.stderr.write, Date.now()]
  let said = ''
  Date.now = () => start + (now() - start) * 50
  process.stderr.write = ((text: string) => Boolean((said += text))) as typeof write
  try {
    await work()
    return said
  } finally {
    Date.now = now
    process.stderr.write = write
  }
}

const container = (Output = ''): Container =>
  ({
    State: {
      Status: 'running',
      Health: {
        Status: 'starting',
        Log: Output ? [{ Start: '', End: '', ExitCode: 1, Output }] : [],
      },
    },
  }) as unknown as Container

test("the last line that says something, ordered by the engine's time, without a secret and what a terminal obeys, cut after that", () => {
  const log =
    '2026-11-28T20:00:02Z \u001b[32mApplying base.0012\u001b[0m\n\n2026-11-28T20:00:01Z Waiting for the database\n2026-11-28T20:00:03Z \n'
  assert.is(findLastLogLine(log, true), 'Applying base.0012')
  assert.is(findLastLogLine(`${'x'.repeat(115)}${secret}`), `${'x'.repeat(115)}[secr`)
  assert.is(findLastLogLine('\n'), '')
  assert.is(
    describeHealth(container('curl: (7) Failed to connect\n'), log),
    'its check says: curl: (7) Failed to connect; its log: Applying base.0012',
  )
  assert.is(describeHealth(container(), ''), '')
})

test('nobody is asked before ten seconds, nor sooner again than the pause; who cannot be asked has said nothing', async () => {
  let asked = 0
  const ask = async (names: string[]) => {
    asked++
    return names.map(name => (name === 'mute' ? '' : `${name} ${asked}`))
  }
  const young = createLogPoller(Date.now(), 1_000)
  assert.equal([...(await young(['a'], ask))], [])
  const old = createLogPoller(Date.now() - 10_000, 60_000)
  assert.equal([...(await old(['a', 'mute'], ask))], [['a', 'a 1']])
  assert.equal([...(await old(['a'], ask))], [['a', 'a 1']])
  assert.is(asked, 1)
  assert.equal(
    [
      ...(await createLogPoller(0, 0)(['a'], async () => {
        throw new Error('no')
      })),
    ],
    [],
  )
})

test('up: where nothing is redrawn, the heartbeat says what a service does that has not become healthy yet', async () => {
  const box = mkdtempSync(join(tmpdir(), 'kgc-docker-'))
  const one = {
    ...container('no answer'),
    Id: 'a',
    Name: '/hr',
    Created: '2026-11-28T20:00:00Z',
    Image: 'i',
    RestartCount: 0,
    Config: { Labels: { 'com.docker.compose.service': 'hr' }, Image: 'i' },
  }
  Object.assign(one.State, {
    StartedAt: new Date().toISOString(),
    FinishedAt: '',
    ExitCode: 0,
    Error: '',
  })
  writeFileSync(join(box, 'inspect'), JSON.stringify([one]))
  writeFileSync(
    join(box, 'docker'),
    `#!/bin/sh\ncase $1 in ps) echo a ;; inspect) cat ${box}/inspect ;; logs) echo 'T1 Applying employee.0003 with ${secret}' >&2 ;; esac\n`,
  )
  chmodSync(join(box, 'docker'), 0o755)
  const path = process.env.PATH
  process.env.PATH = `${box}${delimiter}${path}`
  const options: WatchOptions = {
    stack: { project: 'x', mode: 'dev', suffix: '', argv: [] },
    config: { name: 'x', services: {} },
    expected: [
      { service: 'hr', oneShot: false, dependencies: [], hash: undefined, image: undefined },
    ],
    containersBefore: [],
    since: Date.now(),
    timeout: 120_000,
    giveUpGraceMs: 0,
    composeExitCode: () => undefined,
  }
  const said = await hurried(() => watchServices(options))
  process.env.PATH = path
  rmSync(box, { recursive: true })
  assert.match(
    said,
    /waiting for hr \(starting; its check says: no answer; its log: Applying employee\.0003 with \[secret\]\)/,
  )
  assert.is(
    said.match(/… hr/g)?.length,
    1,
    `a line for each change, and none for each word: ${said}`,
  )
})

test('deploy: the heartbeat says what a pod does that is not ready', async () => {
  const { value, calls } = await withFakeKubectl('echo first; echo applying 12', () =>
    fetchLastLogLines(environment, [{ pod: 'hr-1', container: 'web' }]),
  )
  assert.equal(value, ['its log: applying 12'])
  assert.match(calls.join('\n'), 'logs hr-1 --container web --tail 5')
  const said = await hurried(async () => {
    const tell = createRolloutProgress(Date.now())
    await new Promise(done => setTimeout(done, 400))
    tell.showHeartbeat(
      new Map([['Deployment hr', { state: 'waiting', detail: '0 of 1 ready' }]]),
      new Map([['Deployment hr', value![0]!]]),
    )
  })
  assert.match(said, 'waiting for Deployment hr (0 of 1 ready; its log: applying 12)')
})

test.run()
