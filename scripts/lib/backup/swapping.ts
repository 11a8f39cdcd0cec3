// How far a restore has come in a database and in a volume, and the steps that take it on: what is
// there stays until its successor is verified, and is kept under another name then.
import { keptName, restoredName } from './database.ts'
import type { AskServer, BackupPlace, RestoreEngine } from './engine.ts'
import type { PlannedApplication, PlannedDatabase, PlannedVolume } from './plan.ts'

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

/** What swap.sql is told. */
export const swapVariables = ({ database }: PlannedDatabase, backup: string) => ({
  db: database,
  new: restoredName(database),
  old: keptName(database),
  comment: `${beginning}${backup}`,
})

/** How far a database's restore has come. */
export async function readDatabaseState(
  { database }: PlannedDatabase,
  ask: AskServer,
): Promise<RestoreState> {
  const names = [database, keptName(database)].map(name => `'${name}'`).join()
  const rows = await ask(
    `Look at ${database}`,
    `SELECT datname, coalesce(shobj_description(oid, 'pg_database'), '') FROM pg_database WHERE datname IN (${names})`,
  )
  const comment = rows.find(([name]) => name === database)?.[1] ?? ''
  const begun = comment.startsWith(beginning) ? comment.slice(beginning.length) : undefined
  const kept = rows.some(([name]) => name === keptName(database))
  return { what: database, kept, begun, swapped: begun !== undefined }
}

/** Says that the restore is at its end. */
export const finishDatabase = ({ database }: PlannedDatabase, ask: AskServer) =>
  ask(`Finish ${database}`, `COMMENT ON DATABASE "${database}" IS NULL`)

/** Drops the database from before. */
const dropOldDatabase = ({ database }: PlannedDatabase, ask: AskServer) =>
  ask(`Drop ${keptName(database)}`, `DROP DATABASE IF EXISTS "${keptName(database)}" WITH (FORCE)`)

type VolumeStep = 'state' | 'prepare' | 'swap' | 'finish' | 'drop'

/** Takes a volume's restore one step on; each step may be done again. */
export const stepVolume = (
  place: BackupPlace,
  step: VolumeStep,
  { key }: PlannedVolume,
  backup = '',
): Promise<string> =>
  place.run(`${step} ${key}`, ['restore-volume.sh', step], { VOLUME: key, ID: backup })

/** How far a volume's restore has come. */
export async function readVolumeState(
  place: BackupPlace,
  volume: PlannedVolume,
): Promise<RestoreState> {
  const said = (await stepVolume(place, 'state', volume)).trim()
  const [phase = '', backup] = said.split(' ')
  const swapped = backup !== undefined && phase !== 'ready'
  const begun = swapped ? backup : undefined
  return { what: volume.key, kept: phase === 'kept', begun, swapped, empty: phase === 'empty' }
}

/** Removes what was there before a restore. */
export async function dropKept(
  engine: RestoreEngine,
  plans: PlannedApplication[],
  databases: PlannedDatabase[],
): Promise<void> {
  for (const one of databases) await dropOldDatabase(one, engine.ask(one))
  for (const one of plans.flatMap(({ files, leftOut }) => [...files, ...leftOut]))
    if (await engine.hasVolume(one)) await stepVolume(await engine.atVolume(one), 'drop', one)
}
