// A backup of a stack on Compose: scripts run in containers that share a database's network or mount a volume.
import { randomBytes } from 'node:crypto'
import { createReadStream, existsSync } from 'node:fs'
import type { Container } from '../../compose/containers.ts'
import type { ComposeConfig, Stack } from '../../compose/stack.ts'
import { findEnvFiles, listExtraFiles } from '../../env/files.ts'
import { exit, Failure } from '../../errors.ts'
import { root } from '../../repository.ts'
import { run } from '../../run.ts'
import { createComposeTarget } from '../../smoke/compose-target.ts'
import type { BackupEngine, BackupPlace, SavedSetting } from '../engine.ts'
import { readScratch, runHelper } from '../helper.ts'
import type { SavedImage } from '../manifest.ts'
import type { PlannedApplication, PlannedDatabase } from '../plan.ts'
import { workplaceOptions, type Helper, type Workplace } from './workplace.ts'

export interface ComposeRequest {
  stack: Stack
  all: ComposeConfig
  /** The containers of the stack. */
  seen: Map<string, Container>
  place: Workplace
}

/** A stack on Compose whose databases run. */
export const createComposeEngine = (request: ComposeRequest): BackupEngine => ({
  project: request.stack.project,
  suffix: request.stack.suffix,
  withDatabase: (database, work) => {
    const { Id: id, Image: image } = request.seen.get(database.service)!
    return work({
      ...createDatabasePlace(request, database, { id, image }),
      withProofServer: (what, prove) => withProofServer(request, database, image, what, prove),
    })
  },
  withVolume: ({ name }, work) => work(createPlace(request.place, { volume: `${name}:ro` })),
  listSettings: () =>
    Promise.resolve({ settings: listEnvFiles(request.stack.suffix), leftOut: [] }),
  describeImages: plans => describeImages(request, plans),
  smokeTarget: () => Promise.resolve(createComposeTarget(request.stack.mode)),
})

/** Where scripts run in containers of the workplace. */
export const createPlace = (
  place: Workplace,
  options: Pick<Helper, 'image' | 'network' | 'volume' | 'env'>,
): BackupPlace => ({
  run: (what, script, env) =>
    runHelper(place, what, { ...options, script, env: { ...options.env, ...env } }),
  read: (name, read) => readScratch(place, name, read),
})

/** Beside a server that runs in a container. */
export const createDatabasePlace = (
  { place, all }: Pick<ComposeRequest, 'place' | 'all'>,
  { service }: PlannedDatabase,
  { id, image }: { id: string; image: string },
): BackupPlace => {
  const POSTGRES_USER = all.services[service]?.environment?.POSTGRES_USER ?? 'postgres'
  return createPlace(place, { image, network: id, env: { POSTGRES_USER } })
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

/** Lets `prove` find a server of the same image that holds nothing and is gone afterwards. */
export async function withProofServer<T>(
  request: Pick<ComposeRequest, 'place' | 'all'>,
  database: PlannedDatabase,
  image: string,
  what: string,
  prove: (place: BackupPlace) => Promise<T>,
): Promise<T> {
  const id = await startProofServer(request.place, request.all, database, image)
  try {
    await waitForServer(what, id)
    return await prove(createDatabasePlace(request, database, { id, image }))
  } finally {
    await run(['docker', 'rm', '-fv', id], { nothrow: true })
  }
}

/** Waits for a server over TCP: that of the first start listens on the socket only. Throws Failure (5) with its last words. */
export async function waitForServer(what: string, id: string): Promise<void> {
  const script =
    'for i in $(seq 3000); do pg_isready -q -h 127.0.0.1 && exit 0; sleep 0.1; done; exit 1'
  const { code } = await run(['docker', 'exec', id, 'sh', '-c', script], { nothrow: true })
  if (code === 0) return
  const { stdout, stderr } = await run(['docker', 'logs', '--tail', '12', id], { nothrow: true })
  throw new Failure(exit.rolledBack, what, 'its server did not start', {
    evidence: (stdout + stderr).trim(),
  })
}

/** The env files of this ending that are here. */
export function listEnvFiles(suffix: string): SavedSetting[] {
  const found = findEnvFiles(root, suffix.slice(1))
  return [...found.files, ...listExtraFiles(root, found)]
    .filter(({ path }) => existsSync(path))
    .map(({ name, path }) => ({ name: `env/${name}`, read: () => createReadStream(path) }))
}

async function describeImages(
  { seen }: ComposeRequest,
  plans: PlannedApplication[],
): Promise<Record<string, SavedImage>> {
  const services = plans.flatMap(({ services }) => services).filter(name => seen.has(name))
  const described = services.map(async service => {
    const { Image: id, Config } = seen.get(service)!
    const format = '{{json .RepoDigests}}'
    const { stdout } = await run(['docker', 'image', 'inspect', '--format', format, id], {
      nothrow: true,
    })
    const digests = (JSON.parse(stdout.trim() || '[]') ?? []) as string[]
    return [service, { image: Config.Image, id, digests }] as const
  })
  return Object.fromEntries(await Promise.all(described))
}
