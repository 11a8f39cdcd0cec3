// Looks at a machine and a stack and names every problem with the command that fixes it. Changes
// nothing.
import {
  readComposeConfig,
  missingEnvFiles,
  stackOf,
  type ComposeConfig,
  type Stack,
} from '../compose/stack.ts'
import { judgeAddresses } from './addresses.ts'
import {
  findTlsEdge,
  listRoutedHosts,
  judgeCertificates,
  fetchCertificate,
} from './certificates.ts'
import { readClock, judgeClock } from './clock.ts'
import { judgeCollations, findChangedCollations } from './collations.ts'
import { readContainers, type Container } from '../compose/containers.ts'
import {
  judgeContainers,
  judgeIdle,
  readLastLogLines,
  findLikelyCauses,
  countOomKills,
  type StackHealth,
} from './containers.ts'
import { checkVolumeSecrets } from '../compose/volumes/check.ts'
import { finding, type Finding, type Severity } from './finding.ts'
import { judgeEngine, judgePorts, judgeResources, readResources } from './machine.ts'
import { root } from '../repository.ts'
import {
  volumeFilesystems,
  judgeDisks,
  judgeImages,
  judgeLayouts,
  judgeMounts,
  judgeOwner,
  judgeStores,
  judgeVolumes,
} from './storage.ts'
import { readEngineInfo, inspectMachine } from '../engine/engine.ts'
import { loadEnvValues } from '../env/files.ts'
import { checkEnvFiles, type EnvProblem } from '../env/check.ts'
import { findIgnoredVariables, type IgnoredVariable } from '../compose/extra-variables.ts'
import { findShellConflicts } from '../env/shell.ts'
import { Failure } from '../errors.ts'
import { findOtherOwners } from '../compose/ownership.ts'
import { findUnreadableMounts } from '../compose/mounts.ts'
import { findTakenPorts } from '../compose/ports.ts'
import { listProjectVolumes } from '../compose/remove.ts'
import { findOldVolumes } from '../compose/volumes/layout.ts'
import { databaseVolumesOf } from '../compose/volumes/secrets.ts'
import { describeCommitPins } from '../images/pinned-commits.ts'
import { findOwnerlessImages } from '../images/owner.ts'
import { findMissingImages, hasProxyOrMirror } from '../images/pull-or-build.ts'
import { findUnreachableRegistries } from '../images/registry/client.ts'

/**
 * Everything that is to be said of this machine and the stack of a mode, the worst of each area
 * first.
 */
export async function examineMachine(mode: string): Promise<Finding[]> {
  const stack = stackOf(mode)
  const [machine, { info: engine }] = await Promise.all([inspectMachine(), readEngineInfo()])
  const answers = Boolean(machine.engine && machine.compose)
  const [seen, volumes] = machine.engine
    ? await Promise.all([readContainers(stack.project), listProjectVolumes(stack.project)])
    : [new Map<string, Container>(), []]
  const { all, findings: files } = await readFiles(
    stack,
    answers,
    seen.size > 0 || volumes.length > 0,
  )
  const sources = [process.env.npm_config_registry ?? ''].flatMap(url =>
    URL.canParse(url) ? [new URL(url).host] : [],
  )
  const [space, taken, time, rest] = await Promise.all([
    readResources(engine),
    all ? findTakenPorts(all, Object.keys(all.services), [...seen.values()]) : [],
    readClock(all, sources),
    all && machine.engine ? examineStack(stack, all, seen, volumes, hasProxyOrMirror(engine)) : [],
  ])
  const withoutFiles = () =>
    seen.size
      ? [finding('containers', 'info', 'not checked: their files cannot be read')]
      : judgeIdle(stack, volumes)
  const order: Severity[] = ['error', 'warning', 'info']
  const areas = [
    [
      ...judgeResources(space, !stack.suffix),
      ...judgePorts(taken),
      ...judgeClock(time, machine.init === 'systemd'),
    ],
    judgeEngine(machine, engine),
    files,
    all || !machine.engine ? rest : withoutFiles(),
  ]
  return areas.flatMap(list =>
    list.toSorted((a, b) => order.indexOf(a.severity) - order.indexOf(b.severity)),
  )
}

/** The env files' problems, and the Compose files where they can be read. */
async function readFiles(
  stack: Stack,
  readable: boolean,
  used: boolean,
): Promise<{ all?: ComposeConfig; findings: Finding[] }> {
  const missing = missingEnvFiles(stack)
  const command = stack.suffix ? `npx zx scripts/env.ts ${stack.mode}` : 'make env'
  const findings = [
    ...judgeEnv(checkEnvFiles(root, stack.mode), used, command),
    ...judgeShell(findShellConflicts(root, stack.suffix)),
  ]
  if (missing.length || !readable) return { findings }
  try {
    // what it knows as secret is never printed, not even from a log
    const values = loadEnvValues(root, stack.mode)
    findings.push(...judgeAddresses(stack.mode, values))
    const all = await readComposeConfig(stack)
    return { all, findings: [...findings, ...judgeIgnored(findIgnoredVariables(all, stack))] }
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    return {
      findings: [
        ...findings,
        finding('env files', 'error', `${error.what}: ${error.why}`, error.next),
      ],
    }
  }
}

/** `used`: the stack has been started. Before that, files that are not there are no fault. */
export function judgeEnv(problems: EnvProblem[], used: boolean, command: string): Finding[] {
  const whole = problems.filter(({ key, problem }) => !key && problem === 'is missing')
  const rest = problems.filter(one => !whole.includes(one))
  const words = `${whole.length} are not there: ${whole.map(({ file }) => file).join(', ')}`
  return [
    ...(whole.length
      ? [finding('env files', used || rest.length ? 'error' : 'info', words, command)]
      : []),
    ...rest.map(({ file, key, problem, remedy }) =>
      finding('env files', 'error', `${file}: ${key ? `${key} ` : ''}${problem}`, remedy),
    ),
  ]
}

/** Variables of the shell that the scripts leave aside, and a bare `docker compose` would take. */
export const judgeShell = (conflicts: { key: string; file: string }[]): Finding[] =>
  conflicts.map(({ key, file }) =>
    finding(
      'env files',
      'info',
      `${key} is set in the shell to something else than in ${file}, which counts`,
      `unset ${key}`,
    ),
  )

/** Variables of extra files that reach no service. */
export const judgeIgnored = (ignored: IgnoredVariable[]): Finding[] =>
  ignored.map(({ file, key }) =>
    finding(
      'env files',
      'error',
      `${file}: ${key} reaches no service: docker-compose.yml sets it itself`,
      'delete it there',
    ),
  )

async function examineStack(
  stack: Stack,
  all: ComposeConfig,
  seen: Map<string, Container>,
  volumes: string[],
  ownWay: boolean,
): Promise<Finding[]> {
  const services = Object.keys(all.services)
  const images = new Set(services.map(name => all.services[name]?.image)).size
  const edge = findTlsEdge(all)
  const serving = edge && seen.get(edge.service)?.State.Status === 'running'
  const databases = databaseVolumesOf(all, services, stack.suffix.slice(1))
  const [missing, logs, causes, kills, disks, certificates, closed, stores, moved, old] =
    await Promise.all([
      findMissingImages(all, services),
      readLastLogLines(seen),
      findLikelyCauses(seen),
      countOomKills(seen),
      volumeFilesystems(all, seen),
      serving
        ? Promise.all(listRoutedHosts(all).map(host => fetchCertificate(host, edge.port)))
        : [],
      findUnreadableMounts(all, services),
      checkVolumeSecrets(stack, all, services, seen),
      findChangedCollations(databases, seen),
      findOldVolumes(databases, seen),
    ])
  const silent =
    stack.suffix || !missing.length || ownWay
      ? []
      : await findUnreachableRegistries(
          missing.filter(
            image => !image.endsWith(':unset') && !findOwnerlessImages([image]).length,
          ),
          5_000,
        )
  const where = describeCommitPins(missing)
  const pulse: StackHealth = { stack, all, seen, volumes, logs, causes, kills, now: Date.now() }
  return [
    ...judgeImages(stack, images, missing, silent, seen.size > 0, where),
    ...(seen.size ? judgeContainers(pulse) : judgeIdle(stack, volumes)),
    ...judgeOwner(stack.project, findOtherOwners(seen.values())),
    ...judgeMounts(closed),
    ...judgeVolumes(pulse),
    ...judgeStores(stores),
    ...judgeCollations(stack.project, moved),
    ...judgeLayouts(stack, old),
    ...judgeDisks(disks),
    ...judgeCertificates(
      certificates,
      stack.mode === 'prod',
      stack.project,
      edge?.service ?? '',
      Date.now(),
    ),
  ]
}
