// How far a restore has come in a database and in a volume, and the steps that take it on: what is
// there stays until its successor is verified, and is kept under another name then.
import { execInContainer, type Container } from '../compose/containers.ts'
import type { ComposeConfig } from '../compose/stack.ts'
import { exit, Failure } from '../errors.ts'
import { run } from '../run.ts'
import { lastLineOf } from '../text.ts'
import { keptName, restoredName } from './database.ts'
import { runHelper } from './helper.ts'
import type { PlannedDatabase, PlannedVolume } from './plan.ts'
import type { Workplace } from './workplace.ts'

/** What a restore finds: `free`, `kept` (the data from before an earlier one), or the backup that is being restored. */
export interface RestoreState {
  what: string
  kept: boolean
  /** The backup whose restore was begun and has not come to its end. */
  begun: string | undefined
  /** It has taken its place already. */
  swapped: boolean
  /** A volume that nothing is in. */
  empty?: boolean
}

const beginning = 'restoring '

/** Runs a statement on a server as its superuser. Throws Failure (5) with the server's words. */
export async function askServer(
  what: string,
  server: Container,
  query: string,
): Promise<string[][]> {
  const script =
    'exec psql --no-psqlrc -qtAX -F "|" -v ON_ERROR_STOP=1 -U "$POSTGRES_USER" -d postgres -c "$0"'
  const answer = await execInContainer(server.Id, ['sh', '-c', script, query], 300_000)
  if (answer.code !== 0)
    throw new Failure(exit.rolledBack, what, lastLineOf(answer.stderr) || 'no answer')
  return answer.stdout
    .split('\n')
    .filter(Boolean)
    .map(line => line.split('|'))
}

/** How far a database's restore has come. */
export async function readDatabaseState(
  { database }: PlannedDatabase,
  server: Container,
): Promise<RestoreState> {
  const names = [database, keptName(database)].map(name => `'${name}'`).join()
  const rows = await askServer(
    `Look at ${database}`,
    server,
    `SELECT datname, coalesce(shobj_description(oid, 'pg_database'), '') FROM pg_database WHERE datname IN (${names})`,
  )
  const comment = rows.find(([name]) => name === database)?.[1] ?? ''
  const begun = comment.startsWith(beginning) ? comment.slice(beginning.length) : undefined
  const kept = rows.some(([name]) => name === keptName(database))
  return { what: database, kept, begun, swapped: begun !== undefined }
}

/** Gives a restored database its name. */
export async function swapDatabase(
  place: Workplace,
  all: ComposeConfig,
  { service, database }: PlannedDatabase,
  server: Container,
  backup: string,
): Promise<void> {
  await runHelper(place, `Swap ${database}`, {
    script: ['swap.sh'],
    image: server.Image,
    network: server.Id,
    env: {
      DATABASE: database,
      NEW: restoredName(database),
      OLD: keptName(database),
      COMMENT: `${beginning}${backup}`,
      POSTGRES_USER: all.services[service]?.environment?.POSTGRES_USER ?? 'postgres',
    },
  })
}

/** Says that the restore is at its end. */
export const finishDatabase = ({ database }: PlannedDatabase, server: Container) =>
  askServer(`Finish ${database}`, server, `COMMENT ON DATABASE "${database}" IS NULL`)

/** Drops the database from before. */
export const dropOldDatabase = ({ database }: PlannedDatabase, server: Container) =>
  askServer(
    `Drop ${keptName(database)}`,
    server,
    `DROP DATABASE IF EXISTS "${keptName(database)}" WITH (FORCE)`,
  )

type VolumeStep = 'state' | 'prepare' | 'swap' | 'finish' | 'drop'

/** Takes a volume's restore one step on; each step may be done again. */
export const stepVolume = (
  place: Workplace,
  step: VolumeStep,
  { key, name }: PlannedVolume,
  backup = '',
): Promise<string> =>
  runHelper(place, `${step} ${key}`, {
    script: ['restore-volume.sh', step],
    volume: name,
    env: { VOLUME: key, ID: backup },
  })

/** How far a volume's restore has come. */
export async function readVolumeState(
  place: Workplace,
  volume: PlannedVolume,
): Promise<RestoreState> {
  const said = (await stepVolume(place, 'state', volume)).trim()
  const [phase = '', backup] = said.split(' ')
  const swapped = backup !== undefined && phase !== 'ready'
  const begun = swapped ? backup : undefined
  return { what: volume.key, kept: phase === 'kept', begun, swapped, empty: phase === 'empty' }
}

/** Whether the engine has the volume. */
export const hasVolume = async ({ name }: PlannedVolume): Promise<boolean> =>
  (await run(['docker', 'volume', 'inspect', name], { nothrow: true })).code === 0

/** Makes a volume as Compose makes it, so that it belongs to the stack. */
export async function createVolume(project: string, { key, name }: PlannedVolume): Promise<void> {
  const labels = { project, volume: key }
  const words = Object.entries(labels).flatMap(([label, value]) => [
    '--label',
    `com.docker.compose.${label}=${value}`,
  ])
  await run(['docker', 'volume', 'create', ...words, name], { what: `Make the volume ${key}` })
}
