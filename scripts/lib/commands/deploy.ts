// Deploys an environment, or holds it (scripts/deploy.ts).
import { createBackupPlanner } from '../backup/before-deploy/planner.ts'
import { usageFailure } from '../cli.ts'
import { deploy } from '../deploy/deploy.ts'
import { createKubernetesDeployTarget } from '../deploy/target.ts'
import { forceUnlock, holdLock } from '../deploy/lock/manual-lock.ts'
import { loadEnvironment, type Environment } from '../kubernetes/environment.ts'
import { emit, printResult } from '../report.ts'

interface DeployArguments {
  values: {
    'dry-run'?: boolean
    yes?: boolean
    prune?: boolean
    lock?: boolean
    unlock?: boolean
    again?: boolean
    tag?: string
    reason?: string
  }
  positionals: string[]
}

/** Deploys the environment that is named; with `lock` or `unlock` only does that. */
export async function runDeployCommand(given: DeployArguments): Promise<void> {
  const { values, positionals } = given
  const environment = loadEnvironment(positionals[0])
  if (!isUnderstood(given))
    throw usageFailure(
      'name one environment; --tag needs a tag; --lock, --unlock and --again need --reason, no other option takes it; --lock and --unlock do not take --dry-run',
    )
  const { tag, reason = '', prune = false, yes = false } = values
  if (values.lock) return reportLock(environment, await holdLock(environment, reason))
  if (values.unlock) return reportLock(environment, await forceUnlock(environment, reason))

  const source = { tag, again: values.again ? reason : undefined }
  const target = createKubernetesDeployTarget(environment)
  const backups = createBackupPlanner(environment)
  const chooseRelease = () => undefined
  await deploy(
    { environment, target, verb: 'deploy', source, chooseRelease, prune, yes, backups },
    { dryRun: Boolean(values['dry-run']) },
  )
}

function isUnderstood({ values, positionals }: DeployArguments): boolean {
  const { lock, unlock, again, tag, reason } = values
  const byHand = lock || unlock
  return (
    positionals.length <= 1 &&
    !(lock && unlock) &&
    !(byHand && values['dry-run']) &&
    !(byHand && again) &&
    Boolean(byHand || again) === Boolean(reason?.trim()) &&
    (tag === undefined || /^[\w][\w.-]{0,127}$/.test(tag))
  )
}

function reportLock(environment: Environment, words: string): void {
  emit('result', { environment: environment.name, lock: words })
  printResult(`${environment.name}: ${words}`)
}
