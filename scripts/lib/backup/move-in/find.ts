// What of a stack that is moved in from belongs to which application here. Pure.
import type { Container } from '../../compose/containers.ts'
import { exit, Failure } from '../../errors.ts'
import type { PlannedApplication, PlannedDatabase, PlannedVolume } from '../plan.ts'
import { readVariables, type OldStack } from './old-stack.ts'
import type { MoveInRules } from './rules.ts'

/** A database there. */
export interface OldDatabase {
  stack: OldStack
  service: string
  /** Its superuser, and its name there. */
  user: string
  database: string
  image: string
  /** A volume's name or a folder, the folder of the data in it, and who runs on it. */
  source: string
  dataFolder: string
  running: Container | undefined
}

/** Where files are there: in a volume or a folder, or in a container's own layer. */
export type OldFiles = { source: string } | { container: string; path: string }

/** An application that moves in. */
export interface Move {
  plan: PlannedApplication
  rules: MoveInRules
  databases: Map<PlannedDatabase, OldDatabase>
  files: Map<PlannedVolume, OldFiles[]>
}

const databaseTarget = '/var/lib/postgresql'

/** The service there that is called so here. */
export function findService(
  olds: OldStack[],
  { services }: MoveInRules,
  service: string,
): { stack: OldStack; name: string } | undefined {
  for (const stack of olds)
    for (const name of services[service] ?? [])
      if (stack.config.services[name]) return { stack, name }
  return undefined
}

const mountsOf = ({ config }: OldStack, service: string) =>
  (config.services[service]?.volumes ?? []).flatMap(({ source, target, type }) =>
    source && (type === 'volume' || type === 'bind')
      ? [
          {
            target,
            source: type === 'volume' ? (config.volumes?.[source]?.name ?? source) : source,
          },
        ]
      : [],
  )

function describeDatabase(stack: OldStack, service: string): OldDatabase | undefined {
  const mount = mountsOf(stack, service).find(({ target }) => target.startsWith(databaseTarget))
  if (!mount) return undefined
  const variables = readVariables(stack, service)
  const { POSTGRES_USER: user = 'postgres', PGDATA = `${databaseTarget}/data` } = variables
  const container = stack.containers.get(service)
  return {
    ...{ stack, service, user, database: variables.POSTGRES_DB || user, source: mount.source },
    image: container?.Config.Image ?? stack.config.services[service]?.image ?? '',
    dataFolder: PGDATA.startsWith(mount.target) ? PGDATA.slice(mount.target.length) : '',
    running: container?.State.Status === 'running' ? container : undefined,
  }
}

function findFiles(olds: OldStack[], rules: MoveInRules, key: string): OldFiles[] {
  const rule = rules.files?.[key]
  const found = rule && findService(olds, rules, rule.service)
  if (!found) return []
  const { stack, name } = found
  const container = stack.containers.get(name)?.Id
  return rule.paths.flatMap((path): OldFiles[] => {
    const mount = mountsOf(stack, name).find(({ target }) => target === path)
    if (mount) return [{ source: mount.source }]
    return container ? [{ container, path }] : []
  })
}

/** An application as it is there; undefined when its database is not. */
export function findMove(
  olds: OldStack[],
  plan: PlannedApplication,
  rules: MoveInRules,
): Move | undefined {
  const databases = plan.databases.flatMap((one): [PlannedDatabase, OldDatabase][] => {
    const found = findService(olds, rules, one.service)
    const old = found && describeDatabase(found.stack, found.name)
    return old ? [[one, old]] : []
  })
  if (!databases.length || databases.length < plan.databases.length) return undefined
  return {
    ...{ plan, rules, databases: new Map(databases) },
    files: new Map(plan.files.map(one => [one, findFiles(olds, rules, one.key)])),
  }
}

/** The databases there that no application here knows, by service. */
export function findUnknownDatabases(olds: OldStack[], moves: Move[]): string[] {
  const known = moves.flatMap(({ databases }) => [...databases.values()])
  return olds.flatMap(stack =>
    Object.keys(stack.config.services).filter(service => {
      const image = stack.config.services[service]?.image ?? ''
      const isDatabase =
        mountsOf(stack, service).some(({ target }) => target.startsWith(databaseTarget)) ||
        /(^|\/)(postgres|pgvector|postgis|mysql|mariadb|mongo)(:|@|$)/.test(image)
      return isDatabase && !known.some(one => one.stack === stack && one.service === service)
    }),
  )
}

/** The services that run there and name a database that moves: they may write to it. */
export function findWriters(moves: Move[]): { services: string[]; containers: string[] }[] {
  const databases = moves.flatMap(one => [...one.databases.values()])
  const stacks = [...new Set(databases.map(({ stack }) => stack))]
  return stacks.flatMap(stack => {
    const own = databases.filter(one => one.stack === stack)
    const hosts = own.flatMap(({ service, running }) => [service, ...nameOf(running)])
    const named = new RegExp(`(^|[^\\w.-])(${hosts.join('|')})($|[^\\w-])`)
    const writers = [...stack.containers].filter(([name, { State, Config }]) => {
      const isDatabase = own.some(({ service }) => service === name)
      return !isDatabase && State.Status === 'running' && named.test((Config.Env ?? []).join('\n'))
    })
    const services = writers.map(([name]) => name).sort()
    const containers = writers.flatMap(([, one]) => nameOf(one)).sort()
    return writers.length ? [{ services, containers }] : []
  })
}

const nameOf = (container: Container | undefined): string[] =>
  container ? [container.Name.replace(/^\//, '')] : []

/** The volumes there that nothing here takes; caches and what is made again among them. */
export function listLeftVolumes(olds: OldStack[], moves: Move[]): string[] {
  const taken = moves.flatMap(({ databases, files }) => [
    ...[...databases.values()].map(({ source }) => source),
    ...[...files.values()].flat().map(one => ('source' in one ? one.source : '')),
  ])
  return olds
    .flatMap(({ config }) => Object.values(config.volumes ?? {}).map(({ name }) => name))
    .filter(name => !taken.includes(name))
}

/** Throws Failure (refused) where an application that was named is not there, or none is. */
export function requireFound(moves: Move[], named: string[], olds: OldStack[]): void {
  const absent = named.filter(name => !moves.some(({ plan }) => plan.folder === name))
  const what = `Look for the applications in ${olds.map(({ folder }) => folder).join(', ')}`
  const services = olds.flatMap(({ config }) => Object.keys(config.services))
  if (absent.length || !moves.length)
    throw new Failure(
      exit.refused,
      what,
      absent.length
        ? `there is no database of ${absent.join(', ')}`
        : 'there is no database that an application here knows',
      {
        evidence: `its services: ${services.join(', ')}`,
        next: 'infra/docker/<application>/move-in.yaml says what the services may be called: add their names',
      },
    )
}
