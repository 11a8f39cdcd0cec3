// A restore into a stack on Compose: scripts run beside its databases and in its volumes.
import { pipeline } from 'node:stream/promises'
import { execInContainer, type Container } from '../../compose/containers.ts'
import { runCompose } from '../../compose/stack.ts'
import { exit, Failure } from '../../errors.ts'
import { run } from '../../run.ts'
import { lastLineOf } from '../../text.ts'
import type { AskServer, BackupPlace, RestoreEngine, RestorePlace } from '../engine.ts'
import { measureFreeSpace, runHelper, writeScratch } from '../helper.ts'
import type { PlannedApplication, PlannedDatabase, PlannedVolume } from '../plan.ts'
import { markUnderway } from '../restore/underway.ts'
import { swapVariables } from '../swapping.ts'
import { createDatabasePlace, createPlace, type ComposeRequest } from './engine.ts'
import type { Workplace } from './workplace.ts'

/** A stack on Compose whose databases run. */
export const createComposeRestoreEngine = (request: ComposeRequest): RestoreEngine => {
  const { place, seen, stack } = request
  const serverOf = ({ service }: PlannedDatabase) => seen.get(service)!
  return {
    atDatabase: one => {
      const { Id: id, Image: image } = serverOf(one)
      return Promise.resolve(writing(place, createDatabasePlace(request, one, { id, image })))
    },
    atVolume: ({ name }) => Promise.resolve(writing(place, createPlace(place, { volume: name }))),
    ask: one => asking(serverOf(one)),
    swapDatabase: (one, backup) => swapDatabase(request, one, backup),
    hasVolume,
    createVolume: volume => createVolume(stack.project, volume),
    stopServices: (plans, backup) => stopServices(request, plans, backup),
  }
}

const writing = (place: Workplace, one: BackupPlace): RestorePlace => ({
  ...one,
  write: (name, bytes, open) =>
    writeScratch(place, name, bytes, async input => pipeline(await open(), input)),
  measureFreeSpace: () => measureFreeSpace(place),
})

/** Asks a server that runs in a container. */
export const asking =
  (server: Container): AskServer =>
  (what, query) =>
    askServer(what, server, query)

/** Runs a statement on a server as its superuser. Throws Failure (5) with the server's words. */
async function askServer(what: string, server: Container, query: string): Promise<string[][]> {
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

async function swapDatabase(
  { place, all, seen }: ComposeRequest,
  database: PlannedDatabase,
  backup: string,
): Promise<void> {
  const { service } = database
  const { db, new: restored, old, comment } = swapVariables(database, backup)
  const { Id: network, Image: image } = seen.get(service)!
  await runHelper(place, `Swap ${db}`, {
    ...{ script: ['swap.sh'], image, network },
    env: {
      ...{ DATABASE: db, NEW: restored, OLD: old, COMMENT: comment },
      POSTGRES_USER: all.services[service]?.environment?.POSTGRES_USER ?? 'postgres',
    },
  })
}

/** Whether the engine has the volume. */
const hasVolume = async ({ name }: PlannedVolume): Promise<boolean> =>
  (await run(['docker', 'volume', 'inspect', name], { nothrow: true })).code === 0

/** Makes a volume as Compose makes it, so that it belongs to the stack. */
async function createVolume(project: string, { key, name }: PlannedVolume): Promise<void> {
  const labels = { project, volume: key }
  const words = Object.entries(labels).flatMap(([label, value]) => [
    '--label',
    `com.docker.compose.${label}=${value}`,
  ])
  await run(['docker', 'volume', 'create', ...words, name], { what: `Make the volume ${key}` })
}

async function stopServices(
  { stack, seen }: ComposeRequest,
  plans: PlannedApplication[],
  backup: string,
): Promise<void> {
  await markUnderway(stack.project, backup)
  const databases = plans.flatMap(one => one.databases.map(({ service }) => service))
  const services = plans
    .flatMap(one => one.services)
    .filter(name => seen.has(name) && !databases.includes(name))
  if (services.length) await runCompose(stack, ['stop', ...services], { what: 'Stop the services' })
}
