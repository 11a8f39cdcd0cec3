// Small files in the databases' volumes, read whether or not a container has them.
import { join } from 'node:path'
import type { Container } from '../containers.ts'
import type { DatabaseVolume } from './secrets.ts'
import { run } from '../../run.ts'

/**
 * The text of a file in each store's data folder, '' where it is not; stores whose volume is not
 * there are left out. Nothing is started but, for volumes without a container, one `sh`.
 */
export async function readFromVolumes(
  stores: DatabaseVolume[],
  seen: Map<string, Container>,
  name: string,
): Promise<Map<DatabaseVolume, string>> {
  const holder = ({ service, volume }: DatabaseVolume) =>
    seen.get(service)?.Mounts?.some(({ Name }) => Name === volume)
  const [held, others] = [stores.filter(holder), stores.filter(store => !holder(store))]
  const volumes = others.length
    ? (await run(['docker', 'volume', 'ls', '-q'], { what: 'List the volumes' })).stdout.split('\n')
    : []
  const loose = others.filter(({ volume }) => volumes.includes(volume))
  const [copied, read] = await Promise.all([
    Promise.all(held.map(store => copy(store, seen.get(store.service)!.Id, name))),
    readLoose(loose, name),
  ])
  return new Map([
    ...held.map((store, i) => [store, copied[i]!] as const),
    ...loose.map((store, i) => [store, read[i]!] as const),
  ])
}

/**
 * From a container, whatever its state: `docker cp` gives a tar archive, whose one file follows a
 * header of 512 bytes.
 */
async function copy({ target }: DatabaseVolume, id: string, name: string): Promise<string> {
  const { stdout, code } = await run(['docker', 'cp', `${id}:${join(target, name)}`, '-'], {
    nothrow: true,
  })
  return code === 0 ? stdout.slice(512).replaceAll('\0', '') : ''
}

/**
 * From volumes that no container has, all at once, by an image of theirs: without a network, and
 * with no right but to read.
 */
async function readLoose(stores: DatabaseVolume[], name: string): Promise<string[]> {
  const [first] = stores
  if (!first) return []
  const mounts = stores.flatMap(({ volume }, i) => ['--volume', `${volume}:/kgc/${i}:ro`])
  const rights = [
    '--network',
    'none',
    '--user',
    '0:0',
    '--read-only',
    '--cap-drop',
    'ALL',
    '--cap-add',
    'DAC_READ_SEARCH',
  ]
  const script = `for i in ${stores.map((_, i) => i).join(' ')}; do tr -d '\\n' < /kgc/$i/${name}; echo; done 2>/dev/null`
  const argv = [
    'docker',
    'run',
    '--rm',
    '--pull',
    'never',
    '--log-driver',
    'none',
    ...rights,
    ...mounts,
    '--entrypoint',
    'sh',
    first.image,
    '-c',
    script,
  ]
  const lines = (await run(argv, { nothrow: true, timeout: 60_000 })).stdout.split('\n')
  return stores.map((_, i) => lines[i] ?? '')
}
