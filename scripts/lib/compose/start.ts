// Starts a stack with Compose, from any state that it is in.
import { stripVTControlCharacters } from 'node:util'
import { runCompose } from './stack.ts'
import { listContainers, serviceNameOf, type Container } from './containers.ts'
import { failureReport, describeStatuses, likelyCause } from './failure-report.ts'
import type { ExpectedService, ServiceStatus } from './stack-status.ts'
import { isUpToDate } from './service-status.ts'
import { watchServices, type WatchOptions } from './watch.ts'
import { Failure, exit } from '../errors.ts'
import { step, warn } from '../report.ts'
import { run, type RunOutput } from '../run.ts'
import { lastLineOf } from '../text.ts'

/**
 * Readies for Compose what is there: it starts no paused container, and fails at once on a
 * dependency that has been unhealthy since before. Stopped, it starts again when what it needs
 * is ready. One of an older configuration is left to Compose, which replaces it.
 */
export async function startStopped(
  before: Container[],
  expected: ExpectedService[],
): Promise<void> {
  const ours = before.flatMap(one =>
    expected
      .filter(({ service }) => service === serviceNameOf(one))
      .map(wanted => ({ one, wanted })),
  )
  const paused = ours.filter(({ one }) => one.State.Status === 'paused')
  const ill = ours.filter(
    ({ one, wanted }) => one.State.Health?.Status === 'unhealthy' && isUpToDate(wanted, one),
  )
  for (const [list, verb, words] of [
    [paused, 'unpause', 'Unpause'],
    [ill, 'stop', 'Stop the unhealthy containers, to start them again'],
  ] as const)
    if (list.length)
      await step(`${words}: ${list.map(({ wanted }) => wanted.service).join(', ')}`, () =>
        run(['docker', verb, ...list.map(({ one }) => one.Id)], { nothrow: true }),
      )
}

type Start = Omit<WatchOptions, 'composeExitCode' | 'giveUpGraceMs'>

/**
 * Calls `docker compose up` with these arguments and watches until all is ready. Throws Failure
 * (broken, timeout) when it does not get so.
 */
export async function startServices(
  options: Start,
  argv: string[],
  what: string,
): Promise<ServiceStatus[]> {
  let { seen, outcome } = await attempt(options, argv, 2_000)
  if (outcome?.code && !hasFailed(seen)) {
    // what it stumbled over, a dependency that was ill for a moment or a container half removed,
    // may be gone
    warn(`docker compose failed: ${lastLine(outcome)}; trying again`)
    ;({ seen, outcome } = await attempt(
      { ...options, containersBefore: await listContainers(options.stack.project) },
      argv,
      10_000,
    ))
  }
  if (seen.every(({ state }) => state === 'ready')) return seen
  throw await failure(options, seen, outcome, what)
}

/** `giveUpGraceMs`: ms in which a container may show why Compose gave up. */
async function attempt(
  options: Start,
  argv: string[],
  giveUpGraceMs: number,
): Promise<{ seen: ServiceStatus[]; outcome: RunOutput | undefined }> {
  let outcome: RunOutput | undefined
  void runCompose(options.stack, ['up', '-d', '--no-build', '--quiet-pull', ...argv], {
    nothrow: true,
  }).then(output => (outcome = output))
  const seen = await watchServices({
    ...options,
    giveUpGraceMs,
    composeExitCode: () => outcome?.code,
  })
  return { seen, outcome }
}

async function failure(
  { stack, config }: Start,
  seen: ServiceStatus[],
  outcome: RunOutput | undefined,
  what: string,
): Promise<Failure> {
  if (hasFailed(seen)) {
    const { why, evidence, service } = await failureReport(stack, config, seen)
    return new Failure(exit.broken, what, why, {
      evidence,
      next: `docker compose -p ${stack.project} logs ${service}; then the same command again`,
    })
  }
  const open = `not ready: ${describeStatuses(seen.filter(({ state }) => state !== 'ready'))}`
  const next = `npx zx scripts/bootstrap.ts --doctor --environment ${stack.mode}`
  if (!outcome?.code) return new Failure(exit.timeout, what, open, { next })
  const cause = likelyCause(outcome.stderr)
  return new Failure(exit.broken, what, lastLine(outcome), {
    evidence: [...(cause ? [`likely cause: ${cause}`] : []), open].join('\n'),
    next,
  })
}

const hasFailed = (seen: ServiceStatus[]): boolean => seen.some(({ state }) => state === 'failed')
const lastLine = ({ stderr }: RunOutput): string => lastLineOf(stripVTControlCharacters(stderr))
