// Removes a project by its label and with the engine alone: it needs no Compose file, no env file
// and no certain release of Compose. `docker compose down` before 2.27 fails on a one-shot
// container that was pruned (docker/compose#11686).
import { dependenciesOf, type Container } from './containers.ts'
import { Failure, exit } from '../errors.ts'
import { color, say } from '../report.ts'
import { constantDelays, pollUntil } from '../retry.ts'
import { run } from '../run.ts'

/** ms after the first removal in which all must be gone; who else holds a volume holds it for good. */
const removalTimeoutMs = 15_000
const volumeRemovalTimeoutMs = 3_000

const lines = (text: string): string[] => text.split('\n').filter(Boolean)
const labelOf = (project: string) => ['--filter', `label=com.docker.compose.project=${project}`]

/**
 * The names of the project's volumes: those with its label, and those of its name without any. A
 * killed run has left such ones; the engine makes one for whatever mounts a name that is gone.
 */
export async function listProjectVolumes(project: string): Promise<string[]> {
  const argv = [
    'docker',
    'volume',
    'ls',
    '--format',
    '{{.Name}} {{.Label "com.docker.compose.project"}}',
  ]
  const all = lines((await run(argv, { what: 'List the volumes' })).stdout).map(line =>
    line.split(' '),
  )
  return all.flatMap(([name = '', label]) =>
    label === project || (!label && name.startsWith(`${project}_`)) ? [name] : [],
  )
}

/**
 * Stops and removes all containers and networks that carry the project's label, and with `volumes`
 * its volumes.
 * Throws Failure (broken) with the engine's words for what is left.
 */
export async function removeProject(project: string, volumes: boolean): Promise<void> {
  const found = await all(project)
  const paused = found.filter(({ State }) => State.Status === 'paused').map(({ Id }) => Id)
  if (paused.length) await run(['docker', 'unpause', ...paused], { nothrow: true })
  await stopDependentsFirst(found)
  await gone(
    `Remove the containers of ${project}`,
    () => list(['ps', '-aq', '--no-trunc'], project),
    ids => ['rm', '--force', ...(volumes ? ['--volumes'] : []), ...ids],
    `docker ps -a --filter label=com.docker.compose.project=${project}`,
  )
  for (const network of await list(['network', 'ls', '-q'], project)) await detachOthers(network)
  await gone(
    `Remove the networks of ${project}`,
    () => list(['network', 'ls', '-q'], project),
    ids => ['network', 'rm', ...ids],
    `docker network inspect $(docker network ls -q ${labelOf(project).join(' ')})`,
  )
  if (volumes)
    await gone(
      `Remove the volumes of ${project}`,
      () => listProjectVolumes(project),
      names => ['volume', 'rm', ...names],
      'docker ps -a --filter volume=<volume>   (shows what uses it; remove that, then the same command again)',
      volumeRemovalTimeoutMs,
    )
}

const list = async (argv: string[], project: string): Promise<string[]> =>
  lines((await run(['docker', ...argv, ...labelOf(project)])).stdout)

/** The project's containers, those of `docker compose run` too. */
async function all(project: string): Promise<Container[]> {
  const ids = await list(['ps', '-aq', '--no-trunc'], project)
  return ids.length
    ? (JSON.parse(
        (await run(['docker', 'inspect', ...ids], { nothrow: true })).stdout || '[]',
      ) as Container[])
    : []
}

/**
 * What depends on a container is stopped before it; each has its own grace period. One that
 * cannot be stopped is removed by force later.
 */
export function stopDependentsFirst(
  containers: Container[],
  stop = (id: string): Promise<unknown> => run(['docker', 'stop', id], { nothrow: true }),
): Promise<unknown> {
  const service = ({ Config: { Labels } }: Container) => Labels['com.docker.compose.service'] ?? ''
  const stopping = new Map<Container, Promise<unknown>>()
  const stopped = (container: Container, above: Container[] = []): Promise<unknown> => {
    const known = stopping.get(container)
    if (known) return known
    const path = [...above, container]
    // containers of two generations may depend on each other in a circle
    const dependents = containers.filter(
      other => dependenciesOf(other).includes(service(container)) && !path.includes(other),
    )
    const promise = Promise.all(dependents.map(other => stopped(other, path))).then(() =>
      stop(container.Id),
    )
    stopping.set(container, promise)
    return promise
  }
  return Promise.all(containers.map(container => stopped(container)))
}

/**
 * A network with somebody's container on it cannot be removed. That container is not ours: it is
 * taken off the network and goes on.
 */
async function detachOthers(network: string): Promise<void> {
  const { stdout } = await run(
    [
      'docker',
      'network',
      'inspect',
      '--format',
      '{{.Name}}{{range $id, $one := .Containers}} {{$one.Name}}{{end}}',
      network,
    ],
    { nothrow: true },
  )
  const [name, ...others] = stdout.trim().split(' ')
  for (const other of others) {
    say(
      color.yellow(
        `  ${other} is not part of this stack: it is disconnected from the network ${name}`,
      ),
    )
    await run(['docker', 'network', 'disconnect', '--force', network, other], { nothrow: true })
  }
}

/**
 * Removes what `listed` names until nothing is left: the engine may be at it already, as after an
 * end that was cut off.
 */
async function gone(
  what: string,
  listed: () => Promise<string[]>,
  remove: (ids: string[]) => string[],
  next: string,
  limit = removalTimeoutMs,
): Promise<void> {
  let words = ''
  const removeAndList = async (list: string[]) => {
    if (!list.length) return list
    const { stderr } = await run(['docker', ...remove(list)], { nothrow: true })
    words = lines(stderr).at(-1) ?? words
    return listed()
  }
  let left = await listed()
  await pollUntil(
    async () => (left = await removeAndList(left)),
    list => !list.length,
    constantDelays(500, limit),
  )
  if (left.length)
    throw new Failure(exit.broken, what, words || `${left.length} are left`, {
      evidence: left.join('\n'),
      next: next.replace('<volume>', left[0] ?? ''),
    })
}
