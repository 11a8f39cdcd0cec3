// Waits for a stack: reads the engine, lets stack-status.ts judge, and shows progress.
import { setTimeout as sleep } from 'node:timers/promises'
import type { ComposeConfig, Stack } from './stack.ts'
import { readContainers, type Container } from './containers.ts'
import { dependsOn, describeStatuses } from './failure-report.ts'
import {
  judgeStack,
  type ExpectedService,
  type StackStatus,
  type StackSnapshot,
  type ServiceStatus,
} from './stack-status.ts'
import { describeCrashLoop } from './container-status.ts'
import { unhealthyRechecked, notStartedYet, waitingForOthers } from './service-status.ts'
import { probeHealth } from './health-probe.ts'
import { createLogPoller, appendLogLine } from '../log-poller.ts'
import { createHeartbeat, createLiveTable } from '../progress.ts'
import { isRichTerminal } from '../output.ts'
import { emit } from '../report.ts'
import { run } from '../run.ts'
import { lastLineOf } from '../text.ts'

export interface WatchOptions {
  stack: Stack
  config: ComposeConfig
  expected: ExpectedService[]
  /** What was there when Compose was called. */
  containersBefore: Container[]
  /** ms of the clock when the watched change began. */
  since: number
  /** ms; then the watch ends with what it has. */
  timeout: number
  /** ms in which a container may show why Compose gave up; later none will. */
  giveUpGraceMs: number
  /** Compose's exit code; undefined while it works. */
  composeExitCode: () => number | undefined
}

/**
 * ms that Compose is given to end what it has begun once something has failed: longer than the
 * longest stop_grace_period.
 */
const composeExitTimeoutMs = 180_000
/** ms between two looks, each of which costs two processes. */
const pollMs = 800
/** ms in which a wait for what has failed is taken for one. */
const stuckAfterMs = 3_000

/**
 * Watches until Compose is done and all services are ready or one has failed, or the time is over.
 * What fails before is shown at once; Compose goes on until it ends or no more is left to it than
 * to wait for what has failed. Returns the last verdicts.
 */
export async function watchServices(options: WatchOptions): Promise<ServiceStatus[]> {
  const containersBefore = new Map(options.containersBefore.map(one => [one.Id, one]))
  const table = createLiveTable(options.since)
  const listen = createLogPoller(options.since, 5_000)
  let judged: StackStatus | undefined
  const beat = createHeartbeat(options.since)
  let composeEndedAt = 0
  let firstFailureAt = 0
  for (;;) {
    const composeExitCode = options.composeExitCode()
    const at = Date.now()
    const snapshot: StackSnapshot = {
      at,
      containersBefore,
      composeExitCode,
      containers: await readContainers(options.stack.project),
    }
    judged = judgeStack(options.expected, snapshot, judged)
    const verdicts = await Promise.all(
      judged.verdicts.map(verdict =>
        withExitCode(verdict, snapshot.containers.get(verdict.service), options.since),
      ),
    )
    const lastWords = await listen(
      verdicts.filter(({ state }) => state === 'waiting').map(({ service }) => service),
      names => Promise.all(names.map(service => probeHealth(snapshot.containers.get(service)))),
    )
    // a log says something new at each look: only what is redrawn in place may follow it
    const shown = isRichTerminal() ? withLastWords(verdicts, lastWords) : verdicts
    for (const { name, ...row } of table.show(
      shown.map(({ service, state, detail }) => ({ name: service, state, detail })),
    ))
      emit('service', { service: name, ...row })
    const failed = verdicts.filter(({ state }) => state === 'failed')
    const open = verdicts.filter(({ state }) => state === 'absent' || state === 'waiting')
    if (composeExitCode !== undefined) composeEndedAt ||= at
    if (failed.length) firstFailureAt ||= at
    else firstFailureAt = 0
    if (composeExitCode !== undefined && (failed.length || (composeExitCode === 0 && !open.length)))
      return verdicts
    if (
      composeExitCode &&
      (at - composeEndedAt > options.giveUpGraceMs
        ? !open.some(isAsked)
        : open.every(({ state }) => state === 'absent'))
    )
      return verdicts
    if (
      firstFailureAt &&
      at - firstFailureAt >
        (isStuck(options.config, failed, open) ? stuckAfterMs : composeExitTimeoutMs)
    )
      return verdicts
    if (at - options.since > options.timeout) return verdicts
    if (!isRichTerminal())
      beat(() => {
        const why = firstFailureAt
          ? `${describeStatuses(failed)}; Compose finishes what it has started`
          : 'waiting for'
        return `${why} ${describeStatuses(withLastWords(open, lastWords))}`
      })
    await sleep(pollMs)
  }
}

/** The verdicts with what the services themselves say. */
const withLastWords = (
  verdicts: ServiceStatus[],
  lastWords: Map<string, string>,
): ServiceStatus[] =>
  verdicts.map(one =>
    one.state === 'waiting'
      ? { ...one, detail: appendLogLine(one.detail, lastWords.get(one.service)) }
      : one,
  )

/** Ill, and not yet given up. */
const isAsked = ({ detail }: ServiceStatus): boolean => detail === unhealthyRechecked

/**
 * Whether Compose, which has made all containers before it starts the first, has nothing left to do
 * but to wait for what has failed.
 */
const isStuck = (all: ComposeConfig, failed: ServiceStatus[], open: ServiceStatus[]): boolean =>
  open.every(
    ({ service, detail }) =>
      (detail === waitingForOthers || detail === notStartedYet) &&
      failed.some(one => dependsOn(all, service, one.service)),
  )

/** A crash loop that runs at this moment: its exit code stands in the engine's events. */
async function withExitCode(
  verdict: ServiceStatus,
  container: Container | undefined,
  since: number,
): Promise<ServiceStatus> {
  const { condition, restarts = 0 } = verdict.container ?? {}
  if (!container || condition !== 'crash loop' || container.State.Status !== 'running')
    return verdict
  const filters = [
    '--filter',
    `container=${container.Id}`,
    '--filter',
    'event=die',
    '--since',
    String(since / 1000),
    '--until',
    String(Date.now() / 1000),
  ]
  const output = await run(
    ['docker', 'events', ...filters, '--format', '{{.Actor.Attributes.exitCode}}'],
    { nothrow: true, timeout: 5_000 },
  )
  const code = lastLineOf(output.stdout)
  const end = { ...container.State, Status: 'exited', ExitCode: Number(code) }
  return code ? { ...verdict, detail: describeCrashLoop(restarts, end) } : verdict
}
