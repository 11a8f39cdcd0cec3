// Saves a database: dumps it beside its server, and proves the dump in a server of its own.
import { createHash, randomBytes } from 'node:crypto'
import type { ComposeConfig } from '../compose/stack.ts'
import type { Container } from '../compose/containers.ts'
import { exit, Failure } from '../errors.ts'
import { run } from '../run.ts'
import { parseMeasured, readScratch, runHelper, type ScratchFile } from './helper.ts'
import type { DatabaseFacts } from './manifest.ts'
import type { PlannedDatabase } from './plan.ts'
import { compareTables, parseTables, type CountedTable } from './tables.ts'
import { workplaceOptions, type Workplace } from './workplace.ts'

/** A database that was dumped. */
export interface Dumped {
  facts: DatabaseFacts
  tables: CountedTable[]
  files: ScratchFile[]
}

/** The text of a file in the scratch volume. Throws Failure (5) when another one arrives than was measured there. */
export async function readScratchText(place: Workplace, file: ScratchFile): Promise<string> {
  const text = await readScratch(place, file.name, async bytes => {
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
  place: Workplace,
  { database }: PlannedDatabase,
  server: Container,
): Promise<Dumped> {
  const what = `Dump ${database}`
  const files = parseMeasured(
    what,
    await runHelper(place, what, {
      script: ['dump.sh'],
      image: server.Image,
      network: server.Id,
      env: { DATABASE: database },
    }),
  )
  const [dump, tables, facts] = files as [ScratchFile, ScratchFile, ScratchFile]
  if (!dump.bytes) throw new Failure(exit.rolledBack, what, 'the dump is empty')
  const counted = parseTables(await readScratchText(place, tables))
  const told = JSON.parse(await readScratchText(place, facts)) as DatabaseFacts
  return { facts: told, tables: counted, files }
}

const settingsOfServer = ['POSTGRES_USER', 'POSTGRES_DB', 'POSTGRES_INITDB_ARGS']

/** Starts a server as the stack's, without a network, a port or a secret of it. Out: its container. */
async function startProofServer(
  place: Workplace,
  all: ComposeConfig,
  { service }: PlannedDatabase,
  image: string,
): Promise<string> {
  const { environment = {}, volumes = [], mem_limit } = all.services[service] ?? {}
  const given = Object.fromEntries(
    settingsOfServer.flatMap(key => (environment[key] ? [[key, environment[key]]] : [])),
  )
  const passwords = ['POSTGRES_PASSWORD', 'DATABASE_APP_PASSWORD'].filter(key => environment[key])
  const scripts = volumes.filter(({ target }) => target.startsWith('/docker-entrypoint-initdb.d/'))
  const { stdout } = await run(
    [
      ...['docker', 'run', '--detach', '--network', 'none', '--log-driver', 'json-file'],
      ...workplaceOptions(place),
      ...(mem_limit ? ['--memory', `${mem_limit}`] : []),
      ...scripts.flatMap(({ source, target }) => ['--volume', `${source}:${target}:ro`]),
      ...Object.entries(given).flatMap(([key, value]) => ['--env', `${key}=${value}`]),
      ...passwords.flatMap(key => ['--env', key]),
      // it lives for minutes: what is on the disk after a crash does not matter
      ...[image, 'postgres', ...['fsync', 'full_page_writes'].flatMap(key => ['-c', `${key}=off`])],
    ],
    {
      what: 'Start a server for the proof',
      env: Object.fromEntries(passwords.map(key => [key, randomBytes(24).toString('hex')])),
    },
  )
  return stdout.trim()
}

/**
 * Restores a dump into a server of its own and compares every table. Out: ms that the restore took.
 * Throws Failure (5) that names what differs.
 */
export async function proveDump(
  place: Workplace,
  all: ComposeConfig,
  planned: PlannedDatabase,
  image: string,
  { tables }: Dumped,
): Promise<number> {
  const what = `Prove the dump of ${planned.database}`
  const server = await startProofServer(place, all, planned, image)
  try {
    await waitForServer(what, server)
    const start = Date.now()
    const restored = await restoreDatabase(place, what, all, planned, { image, id: server })
    requireSameTables(what, tables, restored)
    return Date.now() - start
  } finally {
    await run(['docker', 'rm', '-fv', server], { nothrow: true })
  }
}

/** Over TCP: the server of the first start listens on the socket only. */
async function waitForServer(what: string, id: string): Promise<void> {
  const script =
    'for i in $(seq 600); do pg_isready -q -h 127.0.0.1 && exit 0; sleep 0.5; done; exit 1'
  const { code } = await run(['docker', 'exec', id, 'sh', '-c', script], { nothrow: true })
  if (code === 0) return
  const { stdout, stderr } = await run(['docker', 'logs', '--tail', '12', id], { nothrow: true })
  throw new Failure(exit.rolledBack, what, 'its server did not start', {
    evidence: (stdout + stderr).trim(),
  })
}

/** What a restored database is called until it takes its place, and what the one before is called then. */
export const restoredName = (database: string): string => `${database}_restored`
export const keptName = (database: string): string => `${database}_before_restore`

/** Restores the dump in the workplace beside a server's database and counts what is there then. */
export async function restoreDatabase(
  place: Workplace,
  what: string,
  all: ComposeConfig,
  { service, database, login }: PlannedDatabase,
  server: { image: string; id: string },
): Promise<CountedTable[]> {
  const said = await runHelper(place, what, {
    script: ['restore-database.sh'],
    image: server.image,
    network: server.id,
    env: {
      DATABASE: database,
      NEW: restoredName(database),
      LOGIN: login,
      POSTGRES_USER: all.services[service]?.environment?.POSTGRES_USER ?? 'postgres',
    },
  })
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
