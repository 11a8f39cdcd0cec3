// Looks at a machine and a stack and says all that is wrong, each with what mends it. Changes nothing.
import { config, missingEnvFiles, stackOf, type Config, type Stack } from '../compose/compose.ts'
import { edgeOf, hostsOf, judgeCertificates, served } from './certificates.ts'
import { clock, judgeClock } from './clock.ts'
import { judgeCollations, movedCollations } from './collations.ts'
import { containers, type Container } from '../compose/containers.ts'
import {
  judgeContainers,
  judgeIdle,
  lastWords,
  likelyCauses,
  oomKills,
  type Pulse,
} from './containers.ts'
import { findStores } from '../compose/volume-fit.ts'
import { finding, type Finding, type Severity } from './finding.ts'
import { judgeEngine, judgePorts, judgeResources, resources } from './machine.ts'
import { root } from '../repository.ts'
import {
  filesystems,
  judgeDisks,
  judgeImages,
  judgeLayouts,
  judgeMounts,
  judgeOwner,
  judgeStores,
  judgeVolumes,
} from './storage.ts'
import { info, look } from '../engine/engine.ts'
import { loadEnvironment } from '../env/env.ts'
import { check, type Problem } from '../env/check.ts'
import { Failure } from '../errors.ts'
import { otherOwners } from '../compose/ownership.ts'
import { closedMounts } from '../compose/mounts.ts'
import { takenPorts } from '../compose/ports.ts'
import { volumesOf } from '../compose/remove.ts'
import { oldVolumes } from '../compose/volume-layout.ts'
import { storesOf } from '../compose/volume-secrets.ts'
import { whereChosen } from '../images/chosen-commit.ts'
import { nobodys } from '../images/owner.ts'
import { missingImages, ownWay } from '../images/provide.ts'
import { silentRegistries } from '../images/registry.ts'

/** Everything that is to be said of this machine and the stack of a mode, the worst of each area first. */
export async function examine(mode: string): Promise<Finding[]> {
  const stack = stackOf(mode)
  const [machine, { info: engine }] = await Promise.all([look(), info()])
  const answers = Boolean(machine.engine && machine.compose)
  const [seen, volumes] = machine.engine
    ? await Promise.all([containers(stack.project), volumesOf(stack.project)])
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
    resources(engine),
    all ? takenPorts(all, Object.keys(all.services), [...seen.values()]) : [],
    clock(all, sources),
    all && machine.engine ? examineStack(stack, all, seen, volumes, ownWay(engine)) : [],
  ])
  const order: Severity[] = ['error', 'warning', 'info']
  const areas = [
    [
      ...judgeResources(space, !stack.suffix),
      ...judgePorts(taken),
      ...judgeClock(time, machine.init === 'systemd'),
    ],
    judgeEngine(machine, engine),
    files,
    all || !machine.engine
      ? rest
      : seen.size
        ? [finding('containers', 'info', 'not looked at: their files cannot be read')]
        : judgeIdle(stack, volumes),
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
): Promise<{ all?: Config; findings: Finding[] }> {
  const missing = missingEnvFiles(stack)
  const command = stack.suffix ? `npx zx scripts/env.ts ${stack.mode}` : 'make env'
  const findings = judgeEnv(check(root, stack.mode), used, command)
  if (missing.length || !readable) return { findings }
  try {
    // what it knows as secret is never printed, not even from a log
    loadEnvironment(root, stack.mode)
    return { all: await config(stack), findings }
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
export function judgeEnv(problems: Problem[], used: boolean, command: string): Finding[] {
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

async function examineStack(
  stack: Stack,
  all: Config,
  seen: Map<string, Container>,
  volumes: string[],
  ownWay: boolean,
): Promise<Finding[]> {
  const services = Object.keys(all.services)
  const images = new Set(services.map(name => all.services[name]?.image)).size
  const edge = edgeOf(all)
  const serving = edge && seen.get(edge.service)?.State.Status === 'running'
  const databases = storesOf(all, services, stack.suffix.slice(1))
  const [missing, logs, causes, kills, disks, certificates, closed, stores, moved, old] =
    await Promise.all([
      missingImages(all, services),
      lastWords(seen),
      likelyCauses(seen),
      oomKills(seen),
      filesystems(all, seen),
      serving ? Promise.all(hostsOf(all).map(host => served(host, edge.port))) : [],
      closedMounts(all, services),
      findStores(stack, all, services, seen),
      movedCollations(databases, seen),
      oldVolumes(databases, seen),
    ])
  const silent =
    stack.suffix || !missing.length || ownWay
      ? []
      : await silentRegistries(
          missing.filter(image => !image.endsWith(':unset') && !nobodys([image]).length),
          5_000,
        )
  const where = whereChosen(missing)
  const pulse: Pulse = { stack, all, seen, volumes, logs, causes, kills, now: Date.now() }
  return [
    ...judgeImages(stack, images, missing, silent, seen.size > 0, where),
    ...(seen.size ? judgeContainers(pulse) : judgeIdle(stack, volumes)),
    ...judgeOwner(stack.project, otherOwners(seen.values())),
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
