// A deploy or a rollback from pre-flight to record: each step takes what it needs, and returns what
// it found.
import { backUpChange } from './backup/step.ts'
import { isNoChange, type Change, type DeployRequest } from './change.ts'
import { guardChange } from './failure.ts'
import { updateJobSummary } from './change-summary.ts'
import { notifyRefused } from './notifications.ts'
import { planChange } from './plan.ts'
import { runPreflight, type PreflightResult } from './preflight.ts'
import { recordChange } from './record.ts'
import type { Failure } from '../errors.ts'
import { createDeployAlerts } from '../monitoring/deploy-alerts.ts'
import { emit, printResult, step } from '../report.ts'
import { lockEnvironment, recordStart } from './start.ts'
import { applyChange, restartServers, smokeTestChange, watchChange } from './steps.ts'

export interface DeployOptions {
  /** Ends after the plan; nothing is touched. */
  dryRun?: boolean
  /** A step of its own before the plan; what it throws ends the deploy. */
  check?: { name: string; run: (facts: PreflightResult) => Promise<void> }
}

/** What is done before anything is touched; undefined when that is all. */
async function prepareChange(
  request: DeployRequest,
  { dryRun = false, check }: DeployOptions,
  started: number,
): Promise<Change | undefined> {
  const facts = await step('Pre-flight', () => runPreflight(request))
  if (check) await step(check.name, () => check.run(facts))
  const plan = await step('Plan', () => planChange(request, facts))
  updateJobSummary({ ...request, facts, plan }, dryRun)
  return dryRun
    ? undefined
    : await step('Lock', () => lockEnvironment(request, facts, plan, started))
}

/**
 * Changes an environment to what is asked for. Throws Failure: refused or locked with nothing
 * touched; what fails later says what serves.
 */
export async function deploy(request: DeployRequest, options: DeployOptions = {}): Promise<void> {
  const started = Date.now()
  updateJobSummary(request, Boolean(options.dryRun))
  const change = await prepareChange(request, options, started).catch(async error => {
    await notifyRefused(request, error as Error, started)
    throw error
  })
  if (!change) return
  const { environment, facts, verb, release } = change
  const what = `${verb} of release ${release.number}`
  const alerts = createDeployAlerts(environment, isNoChange(change) ? [] : facts.manifests, what)
  const result = await guardChange(change, async () => {
    if (change.plan.backup?.take) await writingStep(change, 'Backup', () => backUpChange(change))
    await recordStart(change)
    await alerts.silence()
    const wait = await writingStep(change, 'Apply', () => applyChange(change))
    let ready = await readingStep(change, 'Watch', () => watchChange(change, wait))
    if (change.rotation.late.length)
      ready = await writingStep(change, 'Restart', () => restartServers(change))
    await readingStep(change, 'Smoke', () => smokeTestChange(change, ready))
    return await writingStep(change, 'Record', () => recordChange(change))
  }).catch(async (error: Failure) => {
    await alerts.end(error)
    throw error
  })
  await alerts.end()
  emit('result', result.event)
  printResult(result.text)
}

/** A step that writes: the lease names it before it begins. Throws Failure (locked) when the lock is lost. */
async function writingStep<T>(change: Change, name: string, work: () => Promise<T>): Promise<T> {
  change.step = name
  await change.lock.recordPhase(name.toLowerCase())
  return await runStep(change, name, work)
}

/** A step that changes nothing need not wait until the lease names it. */
async function readingStep<T>(change: Change, name: string, work: () => Promise<T>): Promise<T> {
  change.step = name
  const noted = change.lock.recordPhase(name.toLowerCase())
  return await runStep(change, name, async () => (await Promise.all([work(), noted]))[0])
}

async function runStep<T>(change: Change, name: string, work: () => Promise<T>): Promise<T> {
  const found = await step(name, work)
  updateJobSummary(change, false)
  return found
}
