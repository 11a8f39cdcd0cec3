// What a backup takes of each application: its databases, as the Compose files say, and its other
// volumes, as infra/docker/<folder>/backup.yaml says.
import { existsSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { parse } from 'yaml'
import type { ComposeConfig, Stack } from '../compose/stack.ts'
import { databaseVolumesOf, type DatabaseVolume } from '../compose/volumes/secrets.ts'
import { exit, Failure } from '../errors.ts'
import { dockerFolder, listApplications, monitoringFolder, root } from '../repository.ts'

/** What backup.yaml says. */
interface BackupRules {
  volumes?: Record<string, 'files' | { emptied: string } | { left_out: string }>
  named?: NamedFilesRule
  /** By key of the env file, what lies elsewhere: always, or when it has another value than this. */
  elsewhere?: Record<string, { unless?: string; what: string; next: string }>
}

/** Where rows name files. */
export interface NamedFilesRule {
  /** The key of the volume that the files are in. */
  volume: string
  /** Without it the application names none. */
  table: string
  /** Path below the volume; bytes and MD5, or '' where the application keeps none. */
  query: string
}

export interface PlannedDatabase extends Pick<DatabaseVolume, 'service' | 'volume'> {
  database: string
  login: string
}

export interface PlannedVolume {
  /** As the Compose file calls it, and the engine. */
  key: string
  name: string
  /** The services that mount it. */
  services: string[]
}

/** What is to be saved of an application. */
export interface PlannedApplication {
  folder: string
  services: string[]
  databases: PlannedDatabase[]
  files: PlannedVolume[]
  named?: NamedFilesRule
  leftOut: (PlannedVolume & { emptied: boolean; reason: string })[]
}

const rulesFile = (folder: string) => join(dockerFolder, folder, 'backup.yaml')

function readRules(folder: string): BackupRules {
  const path = rulesFile(folder)
  return existsSync(path) ? (parse(readFileSync(path, 'utf8')) as BackupRules) : {}
}

/** The services that a folder's own Compose file has. */
const ownServices = (folder: string): string[] =>
  Object.keys(
    (
      parse(readFileSync(join(dockerFolder, folder, 'docker-compose.yml'), 'utf8')) as {
        services?: object
      }
    ).services ?? {},
  )

/** The folder of what no application brings. */
const monitoring = relative(dockerFolder, monitoringFolder)

/** The services of the stack by the folder whose backup.yaml speaks of their volumes. */
function groupServices(all: ComposeConfig): Map<string, string[]> {
  const applications = listApplications()
  const folderOf = new Map(
    applications.flatMap(folder => ownServices(folder).map(name => [name, folder])),
  )
  const groups = new Map(applications.map(folder => [folder, [] as string[]]))
  for (const service of Object.keys(all.services)) {
    const folder = folderOf.get(service) ?? monitoring
    groups.set(folder, [...(groups.get(folder) ?? []), service])
  }
  return groups
}

/**
 * What a backup takes of the whole stack, by application, and of its monitoring. Throws Failure
 * (usage) for a volume that nobody has decided about.
 */
export const planStack = (stack: Stack, all: ComposeConfig): PlannedApplication[] =>
  [...groupServices(all)].map(([folder, services]) => planFolder(stack, all, folder, services))

function planFolder(
  stack: Stack,
  all: ComposeConfig,
  folder: string,
  services: string[],
): PlannedApplication {
  const databases = databaseVolumesOf(all, services, stack.suffix.slice(1)).filter(
    (one): one is DatabaseVolume & PlannedDatabase => Boolean(one.database && one.login),
  )
  const volumes = listVolumes(all, services).filter(
    ({ name }) => !databases.some(({ volume }) => volume === name),
  )
  return { folder, services, databases, ...decideVolumes(folder, volumes) }
}

/** What is done with an application's volumes. Throws Failure (usage) for one that nobody has decided about. */
export function decideVolumes(
  folder: string,
  volumes: PlannedVolume[],
): Pick<PlannedApplication, 'files' | 'leftOut' | 'named'> {
  const { volumes: rules = {}, named } = readRules(folder)
  const undecided = volumes.filter(({ key }) => !rules[key])
  if (undecided.length) throw createUndecidedFailure(folder, undecided)
  return {
    files: volumes.filter(({ key }) => rules[key] === 'files'),
    ...(named ? { named } : {}),
    leftOut: volumes.flatMap(volume => {
      const rule = rules[volume.key]
      if (rule === undefined || rule === 'files') return []
      const emptied = 'emptied' in rule
      return [{ ...volume, emptied, reason: emptied ? rule.emptied : rule.left_out }]
    }),
  }
}

const createUndecidedFailure = (folder: string, undecided: PlannedVolume[]) =>
  new Failure(
    exit.usage,
    `Plan the backup of ${folder}`,
    `nobody has decided about ${undecided.map(({ key }) => key).join(', ')}`,
    { next: `name it in ${relative(root, rulesFile(folder))}: files, emptied or left_out` },
  )

function listVolumes(all: ComposeConfig, services: string[]): PlannedVolume[] {
  const found = new Map<string, PlannedVolume>()
  for (const service of services)
    for (const { type, source } of all.services[service]?.volumes ?? []) {
      if (type !== 'volume' || !source) continue
      const name = all.volumes?.[source]?.name ?? source
      const known = found.get(name)
      found.set(name, { key: source, name, services: [...(known?.services ?? []), service] })
    }
  return [...found.values()]
}

/** Data of an application that no volume holds. */
export interface ElsewhereData {
  what: string
  /** How it is saved. */
  next: string
  /** This stack could as well keep it in a volume: it was moved there by a setting. */
  moved: boolean
}

/** What of the applications lies elsewhere by these settings, or because nothing mounts the volume that it was in. */
export function findElsewhere(
  plans: Pick<PlannedApplication, 'folder' | 'files'>[],
  settings: Record<string, string>,
): ElsewhereData[] {
  return plans.flatMap(({ folder, files }) => {
    const { elsewhere = {}, volumes = {} } = readRules(folder)
    const absent = Object.keys(volumes).find(
      key => volumes[key] === 'files' && !files.some(one => one.key === key),
    )
    return Object.entries(elsewhere).flatMap(([key, { unless, what, next }]) => {
      const value = settings[key] ?? ''
      const moved = unless !== undefined
      if (value && value !== unless) return [{ what: `${what} (${key}=${value})`, next, moved }]
      return moved && absent ? [{ what: `${what} (nothing mounts ${absent})`, next, moved }] : []
    })
  })
}
