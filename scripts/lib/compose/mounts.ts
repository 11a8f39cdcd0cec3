// Whether services can read the files that they mount from this machine. In a repository cloned
// under umask 077 only its owner can read, and root in a container without capabilities cannot
// either: a Traefik that cannot read its rules answers 404 to everything (traefik/traefik#11396).
import { lstatSync, readdirSync, type Stats } from 'node:fs'
import { join, relative } from 'node:path'
import type { ComposeConfig, ComposeService } from './stack.ts'
import { readEngineInfo } from '../engine/engine.ts'
import { Failure, exit } from '../errors.ts'
import { root } from '../repository.ts'
import { run } from '../run.ts'

/** A mounted file or folder that its service cannot read. */
export interface UnreadableMount {
  service: string
  path: string
  /** Who it is in the container: `root`, `postgres`, `101:101`. */
  user: string
}

/** What of a file counts here: its mode, owner and group. */
export type FileOwner = Pick<Stats, 'mode' | 'uid' | 'gid'>

/**
 * The files and folders at and under a path; what cannot be listed from here, and anything but
 * those two, is left out.
 */
function tree(path: string): { path: string; stats: Stats }[] {
  try {
    const stats = lstatSync(path)
    if (!stats.isDirectory()) return stats.isFile() ? [{ path, stats }] : []
    let names: string[] = []
    try {
      names = readdirSync(path)
    } catch {
      // closed to this user, too: its own mode says enough
    }
    return [{ path, stats }, ...names.flatMap(name => tree(join(path, name)))]
  } catch {
    return []
  }
}

const parseId = (text: string) => (/^\d+$/.test(text) ? Number(text) : undefined)

/** Undefined where they stand by a name other than root's. */
type UserIds = { uid: number | undefined; gid: number | undefined }

/** The ids of `user[:group]`; without a group, root's is 0. */
function parseUser(user: string): UserIds {
  const [name = '', group = ''] = user.split(':')
  const uid = !name || name === 'root' ? 0 : parseId(name)
  return { uid, gid: parseId(group) ?? (uid === 0 ? 0 : undefined) }
}

/** The permission bits that count for a user, as the lowest three. */
function selectModeBits({ mode, uid, gid }: FileOwner, user: UserIds): number {
  if (user.uid === uid) return mode >> 6
  return user.gid === gid ? mode >> 3 : mode
}

/**
 * Whether a container's user may read it, and enter it where it is a folder. `capable`: root may do
 * anything. A user by name is none of the owners.
 */
export function canRead(file: FileOwner, user: string, capable: boolean): boolean {
  const ids = parseUser(user)
  if (ids.uid === 0 && capable) return true
  const isFolder = (file.mode & 0o170000) === 0o040000
  const want = isFolder ? 0o5 : 0o4
  return (selectModeBits(file, ids) & want) === want
}

const all = (list: string[] | undefined, ...names: string[]) =>
  (list ?? []).some(name => ['ALL', ...names].includes(name.replace(/^CAP_/, '')))
const capable = ({ cap_drop, cap_add }: ComposeService) =>
  !all(cap_drop, 'DAC_OVERRIDE') || all(cap_add, 'DAC_OVERRIDE', 'DAC_READ_SEARCH')

/**
 * What these services mount of the repository in `folder` and cannot read: the machine's own
 * folders, which monitoring mounts, are as they are. The engine is asked only where something is
 * not open to all.
 */
export async function findUnreadableMounts(
  config: ComposeConfig,
  services: string[],
  folder = root,
): Promise<UnreadableMount[]> {
  const mounted = services.flatMap(service =>
    (config.services[service]?.volumes ?? [])
      .filter(({ type, source = '' }) => type === 'bind' && `${source}/`.startsWith(`${folder}/`))
      .flatMap(({ source = '' }) => tree(source).map(one => ({ service, ...one }))),
  )
  const doubtful = mounted.filter(({ stats }) => !canRead(stats, 'nobody', false))
  if (!doubtful.length || (await mapsUsers())) return []
  const users = new Map(
    await Promise.all(
      [...new Set(doubtful.map(({ service }) => service))].map(
        async name => [name, await userOf(config.services[name] ?? {})] as const,
      ),
    ),
  )
  const closed = doubtful.filter(
    ({ service, stats }) =>
      !canRead(stats, users.get(service) ?? '', capable(config.services[service] ?? {})),
  )
  return closed.map(({ service, path }) => ({
    service,
    path: relative(root, path),
    user: users.get(service) || 'root',
  }))
}

/**
 * In a rootless engine, with mapped users, or behind Docker Desktop's file sharing, owners in the
 * container are others than here.
 */
async function mapsUsers(): Promise<boolean> {
  if (process.platform !== 'linux') return true
  const { SecurityOptions, OperatingSystem } = (await readEngineInfo()).info
  return (
    /Docker Desktop/.test(OperatingSystem ?? '') ||
    /name=(rootless|userns)/.test((SecurityOptions ?? []).join())
  )
}

/** As whom a service runs: what its files say, or else its image. */
const userOf = async ({ user, image = '' }: ComposeService): Promise<string> =>
  user ??
  (
    await run(['docker', 'image', 'inspect', '--format', '{{.Config.User}}', image], {
      nothrow: true,
    })
  ).stdout.trim()

/** The command that opens them. */
export const chmodCommand = (closed: UnreadableMount[]): string =>
  `chmod -R o+rX ${[...new Set(closed.map(({ path }) => path))].filter((path, _, paths) => !paths.some(other => path.startsWith(`${other}/`))).join(' ')}`

/** Throws Failure (refused) when a service could not read what it mounts. */
export async function requireReadableMounts(
  config: ComposeConfig,
  services: string[],
  what: string,
): Promise<void> {
  const closed = await findUnreadableMounts(config, services)
  if (!closed.length) return
  const [{ service, path, user }] = closed as [UnreadableMount]
  const evidence = closed.map(one => `${one.service} (${one.user}): ${one.path}`).join('\n')
  throw new Failure(
    exit.refused,
    what,
    `${service} runs as ${user} and cannot read ${path}, which it mounts`,
    { evidence, next: chmodCommand(closed) },
  )
}
