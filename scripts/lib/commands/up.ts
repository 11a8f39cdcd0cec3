// Starts a stack and waits until it is ready (scripts/up.ts).
import { resolve } from 'node:path'
import { usageFailure } from '../cli.ts'
import { publicAddresses } from '../compose/addresses.ts'
import { refuseHalfUpgraded } from '../backup/upgrade/major.ts'
import { heldFiles, refuseHeld } from '../backup/restore/held.ts'
import { refuseUnderway } from '../backup/restore/underway.ts'
import { containersByService, listContainers, requireEngine } from '../compose/containers.ts'
import { fitCpuLimits } from '../compose/cpus.ts'
import { refuseIgnoredVariables } from '../compose/extra-variables.ts'
import { requireReadableMounts } from '../compose/mounts.ts'
import { refuseOtherOwner } from '../compose/ownership.ts'
import { refuseTakenPorts } from '../compose/ports.ts'
import { expectedServices, reservedMemory, selectServices } from '../compose/services.ts'
import {
  readComposeConfig,
  stackModes,
  stackOf,
  type ComposeConfig,
  type Stack,
} from '../compose/stack.ts'
import { startServices, startStopped } from '../compose/start.ts'
import {
  checkVolumeSecrets,
  recordSecrets,
  requireMatchingSecrets,
} from '../compose/volumes/check.ts'
import { findOldVolumes, refuseOldVolumes } from '../compose/volumes/layout.ts'
import { findMajorChanges, refuseOtherMajors } from '../compose/volumes/majors.ts'
import { databaseVolumesOf } from '../compose/volumes/secrets.ts'
import { judgeAddresses } from '../doctor/addresses.ts'
import { judgeResources, readResources } from '../doctor/machine.ts'
import { readEngineInfo } from '../engine/engine.ts'
import { requireCompose } from '../engine/versions.ts'
import { refuseUnfitEnvFiles } from '../env/check.ts'
import { loadEnvValues } from '../env/files.ts'
import { findShellConflicts } from '../env/shell.ts'
import { exit, Failure } from '../errors.ts'
import { markStart } from '../monitoring/start-marker.ts'
import { pullOrBuildImages } from '../images/pull-or-build.ts'
import { emit, formatMegabytes, printResult, say, step, table, warn } from '../report.ts'
import { root } from '../repository.ts'
import { planRotation } from '../compose/rotation/plan.ts'
import { rotateSecret } from '../compose/rotation/rotate.ts'

/** What scripts/up.ts is told. */
export interface UpArguments {
  values: {
    file?: string[]
    timeout?: string
    'rotate-secret'?: string
    upgrade?: boolean
    identity?: string
    'restore-on-failure'?: boolean
    /** It is a restore that starts what it has swapped. */
    restoring?: boolean
  }
  positionals: string[]
}

/** Starts the stack of a mode, or the services that are named, and waits for them. */
export async function runUpCommand({ values, positionals }: UpArguments): Promise<void> {
  const timeout = Number(values.timeout ?? 2400) * 1000
  if (!(timeout > 0)) throw usageFailure('--timeout needs a number of seconds')
  for (const flag of ['identity', 'restore-on-failure'] as const)
    if (values[flag] && !values.upgrade) throw usageFailure(`--${flag} goes with --upgrade`)
  const isMode = stackModes().includes(positionals[0] ?? '')
  const [mode = 'dev', ...names] = isMode ? positionals : ['dev', ...positionals]
  const asked = stackOf(
    mode,
    (values.file ?? []).map(file => resolve(file)),
  )
  const environment = asked.suffix.slice(1)
  // what it knows as secret is never printed, not even from a log
  const settings = loadEnvValues(root, environment, true)

  // Pre-flight: nothing is touched.
  const key = values['rotate-secret']
  const rotation = key === undefined ? undefined : planRotation(root, environment, key)
  // what a person may take for set is said, though it is not used
  for (const { key, file } of findShellConflicts(root, asked.suffix))
    warn(`${key} is set in the shell to something else than in ${file}, which counts`)
  refuseUnfitEnvFiles(root, environment)
  refuseUnfitAddresses(mode, settings)
  await requireEngine()
  await requireCompose()
  const all = await readComposeConfig(asked)
  refuseIgnoredVariables(all, asked)
  sayMemoryOfMonitoring(asked, all)
  if (!values.restoring) {
    await refuseHalfUpgraded(asked.project, mode)
    await refuseUnderway(asked.project, `Start ${asked.project}`)
  }
  if (!heldFiles(asked).every(file => values.file?.includes(file))) await refuseHeld(asked)
  const stack = await fitCpuLimits(asked, all)
  const services = await selectServices(stack, all, names)
  await warnOfResources(stack, all, services)
  const before = await listContainers(stack.project)
  const what = `Start ${stack.project}`
  refuseOtherOwner(stack, containersByService(before), what, folder =>
    stack.suffix
      ? `make -C ${folder} ${mode}-down`
      : `make -C ${folder} down   (its data stays; its env files are needed here)`,
  )
  await refuseTakenPorts(all, services, before)
  await pullOrBuildImages(stack, all, services)
  await requireReadableMounts(all, services, what)
  const seen = containersByService(before)
  const volumes = databaseVolumesOf(all, services, environment)
  const [old, majors, stores] = await Promise.all([
    findOldVolumes(volumes, seen),
    findMajorChanges(volumes, seen),
    checkVolumeSecrets(stack, all, services, seen),
  ])
  refuseOtherMajors(stack, majors, what)
  refuseOldVolumes(stack, old, what)
  requireMatchingSecrets(stack, stores, what)
  const config = stack === asked ? all : await readComposeConfig(stack)
  const expected = await expectedServices(config, services)

  // Impact.
  const since = Date.now()
  await startStopped(before, expected)
  const argv = names.length ? services : ['--remove-orphans']
  const start = { stack, config: all, expected, containersBefore: before, since, timeout }
  const ready = await step(`Start ${services.length} services of ${stack.project}`, () =>
    markStart(stack, () => startServices(start, argv, what)),
  )
  await recordSecrets(stack, stores)
  reportReady(stack, all, ready, services)
  if (rotation) await markStart(stack, () => rotateSecret(stack, rotation, timeout))
}

/** A machine that is too small for what is chosen starts it all the same, and suffers later. */
async function warnOfResources(
  { suffix }: Stack,
  all: ComposeConfig,
  services: string[],
): Promise<void> {
  const resources = await readResources((await readEngineInfo()).info)
  for (const { what, next } of judgeResources(
    resources,
    suffix ? 0 : reservedMemory(all, services),
  ))
    warn(`${what}; ${next}`)
}

/** What the monitoring takes, before anything is started. */
function sayMemoryOfMonitoring({ monitored, mode }: Stack, all: ComposeConfig): void {
  if (!monitored) return
  const own = Object.keys(all.services).filter(
    name => all.services[name]?.networks?.monitoring !== undefined,
  )
  const most = own.reduce((sum, name) => sum + Number(all.services[name]?.mem_limit), 0)
  const words = `${own.length} services, which reserve ${formatMegabytes(reservedMemory(all, own))} of memory and may take ${formatMegabytes(most)}`
  say(`  monitoring: ${words}; make up MODE=${mode} MONITORING=0 leaves them out`)
}

/** What no authority signs is refused; what works only with something in front is said. */
function refuseUnfitAddresses(mode: string, settings: Record<string, string>): void {
  for (const { severity, what, next } of judgeAddresses(mode, settings))
    if (severity === 'error') throw new Failure(exit.usage, 'Read the env files', what, { next })
    else warn(what)
}

function reportReady(
  { project }: Stack,
  all: ComposeConfig,
  ready: { service: string }[],
  services: string[],
): void {
  const ports = Object.values(all.services).flatMap(({ ports = [] }) => ports)
  const port = ports.find(({ target }) => target === 8443)?.published ?? '443'
  const addresses = publicAddresses(all, port).filter(({ service }) => services.includes(service))
  emit('result', { project, ready: ready.map(({ service }) => service), addresses })
  if (addresses.length)
    printResult(
      table([['service', 'address'], ...addresses.map(({ service, url }) => [service, url])]),
    )
}
