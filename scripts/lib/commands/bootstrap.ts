// Installs what this machine lacks (scripts/bootstrap.ts).
import { usageFailure } from '../cli.ts'
import { installPackages, installPlugins } from '../engine/apt.ts'
import { inspectMachine, type Machine } from '../engine/engine.ts'
import { describeInstallPlan, planInstall, type InstallPlan } from '../engine/install-plan.ts'
import { startEngine } from '../engine/start.ts'
import { exit, Failure } from '../errors.ts'
import { requireKnownSubmodules } from '../forks/submodules.ts'
import { mustBuildDemoBase } from '../images/build/demo-base.ts'
import { askQuestion } from '../prompt.ts'
import { emit, printResult, say, step } from '../report.ts'

interface BootstrapArguments {
  values: {
    yes?: boolean
    plan?: boolean
    demo?: boolean
    doctor?: boolean
    bundle?: boolean
    cluster?: boolean
    environment?: string
  }
}

/** Installs what is missing, or with `doctor` says what is wrong; a number is the exit code. */
export async function runBootstrapCommand({ values }: BootstrapArguments): Promise<number | void> {
  // `su` without `-` leaves these out, and apt and dockerd need them
  process.env.PATH = `${process.env.PATH ?? ''}:/usr/local/sbin:/usr/sbin:/sbin`
  if ((values.environment || values.cluster || values.bundle) && !values.doctor)
    throw usageFailure('--environment, --cluster and --bundle go with --doctor')
  if (values.bundle && values.cluster)
    throw usageFailure('--bundle is of this machine, not of a cluster')
  await requireKnownSubmodules()
  if (!values.doctor) return installMissing(values)
  const { runClusterDoctorCommand, runDoctorCommand } = await import('./doctor.ts')
  return values.cluster
    ? runClusterDoctorCommand(values.environment)
    : runDoctorCommand(values.environment, values.bundle)
}

async function installMissing({ yes, plan, demo }: BootstrapArguments['values']): Promise<void> {
  // Pre-flight: nothing is touched.
  const before = await inspectMachine()
  const base = Boolean(demo) && !before.mmdebstrap && (await mustBuildDemoBase())
  const todo = planInstall(before, base)
  const words = describeInstallPlan(todo).join(', ')
  emit('plan', { ...todo })
  if (plan && words) return reportMachine(before, false, `Would ${words}.`)
  if (plan || !words) return reportMachine(before, false)
  await confirmInstall(words, Boolean(yes))

  // Impact.
  await install(todo)

  // Result: looked at afresh, for a package may bring less than was hoped for.
  const after = await inspectMachine()
  requireComplete(after)
  if (process.env.SUDO_USER)
    say(
      `To use Docker without sudo, which equals root on this machine: usermod -aG docker ${process.env.SUDO_USER}`,
    )
  reportMachine(after, true)
}

async function confirmInstall(words: string, yes: boolean): Promise<void> {
  if (!process.stdin.isTTY || yes) return say(`This will ${words}.`)
  const answer = await askQuestion(`This will ${words}. Continue? [Y/n] `)
  if (!/^(y|yes|)$/i.test(answer ?? 'no'))
    throw new Failure(exit.refused, 'Prepare the machine', 'not confirmed')
}

async function install({ packages, plugins }: InstallPlan): Promise<void> {
  if (packages.length) await step(`Install ${packages.join(', ')}`, () => installPackages(packages))
  if (plugins.length)
    await step(`Install the plug-ins ${plugins.join(' and ')}`, () => installPlugins(plugins))
  const installed = await inspectMachine()
  if (!installed.engine) await step('Start the Docker engine', () => startEngine(installed.init))
}

function requireComplete(machine: Machine): void {
  let left: string[]
  try {
    left = describeInstallPlan(planInstall(machine))
  } catch (error) {
    throw error instanceof Failure ? new Failure(exit.broken, error.what, error.why, error) : error
  }
  if (!left.length) return
  const why = `after the installation it would still ${left.join(', ')}`
  throw new Failure(exit.broken, 'Prepare the machine', why, { next: 'docker info' })
}

function reportMachine({ engine, compose, buildx }: Machine, changed: boolean, plan = ''): void {
  const versions = { engine, compose: compose?.version, buildx: buildx?.version }
  emit('result', { changed, ...versions })
  const words = `Docker Engine ${engine}, Compose ${versions.compose}, buildx ${versions.buildx}`
  printResult(plan || `${words}: ${changed ? 'ready' : 'nothing to do'}.`)
}
