// Saves a database: dumps it beside its server, and proves the dump in a server of its own.
import { createHash } from 'node:crypto'
import { exit, Failure } from '../errors.ts'
import type { BackupPlace, DatabasePlace } from './engine.ts'
import { parseMeasured, type ScratchFile } from './helper.ts'
import type { DatabaseFacts } from './manifest.ts'
import type { PlannedDatabase } from './plan.ts'
import { compareTables, parseTables, type CountedTable } from './tables.ts'

/** A database that was dumped. */
export interface Dumped {
  facts: DatabaseFacts
  tables: CountedTable[]
  files: ScratchFile[]
}

/** The text of a file in the scratch volume. Throws Failure (5) when another one arrives than was measured there. */
export async function readScratchText(place: BackupPlace, file: ScratchFile): Promise<string> {
  const text = await place.read(file.name, async bytes => {
    const parts: Buffer[] = []
    for await (const part of bytes) parts.push(part as Buffer)
    return Buffer.concat(parts)
  })
  const sha256 = createHash('sha256').update(text).digest('hex')
  if (sha256 !== file.sha256) throw createCutFailure(file, text.length)
  return text.toString()
}

/** A transport that has lost something, whatever its exit code. */
export const createCutFailure = ({ name, bytes }: ScratchFile, arrived: number): Failure =>
  new Failure(exit.rolledBack, `Fetch ${name}`, `${arrived} of ${bytes} bytes arrived, or others`, {
    next: 'the same command again; nothing of this backup counts',
  })

/** Dumps a database in one snapshot with the tools of its own image. */
export async function dumpDatabase(
  place: BackupPlace,
  { database }: PlannedDatabase,
): Promise<Dumped> {
  const what = `Dump ${database}`
  const files = parseMeasured(what, await place.run(what, ['dump.sh'], { DATABASE: database }))
  const [dump, tables, facts] = files as [ScratchFile, ScratchFile, ScratchFile]
  if (!dump.bytes) throw new Failure(exit.rolledBack, what, 'the dump is empty')
  const counted = parseTables(await readScratchText(place, tables))
  const told = JSON.parse(await readScratchText(place, facts)) as DatabaseFacts
  return { facts: told, tables: counted, files }
}

/**
 * Restores a dump into a server of its own and compares every table; there `work` looks at it. Out: ms
 * that the restore took. Throws Failure (5) that names what differs.
 */
export function proveDump(
  place: DatabasePlace,
  planned: PlannedDatabase,
  { tables }: Dumped,
  work: (server: BackupPlace, name: string) => Promise<void>,
): Promise<number> {
  const what = `Prove the dump of ${planned.database}`
  return place.withProofServer(what, async server => {
    const start = Date.now()
    requireSameTables(what, tables, await restoreDatabase(server, what, planned))
    const ms = Date.now() - start
    await work(server, restoredName(planned.database))
    return ms
  })
}

/** What a restored database is called until it takes its place, and what the one before is called then. */
export const restoredName = (database: string): string => `${database}_restored`
export const keptName = (database: string): string => `${database}_before_restore`

/** Restores the dump in the scratch folder beside a server's database and counts what is there then; `masked`: it is to be masked. */
export async function restoreDatabase(
  place: BackupPlace,
  what: string,
  { database, login }: PlannedDatabase,
  masked = false,
): Promise<CountedTable[]> {
  const env = {
    ...{ DATABASE: database, NEW: restoredName(database), LOGIN: login },
    ...(masked ? { MASKED: 'yes' } : {}),
  }
  const said = await place.run(what, ['restore-database.sh'], env)
  return parseTables(await readScratchText(place, parseMeasured(what, said)[0]!))
}

/** Throws Failure (5) that names each table that is not as it was dumped. */
export function requireSameTables(
  what: string,
  dumped: CountedTable[],
  restored: CountedTable[],
): void {
  const differing = compareTables(dumped, restored)
  if (differing.length)
    throw new Failure(exit.rolledBack, what, differing[0]!, { evidence: differing.join('\n') })
}
