// The secrets that data in a volume was written with. A database takes its password into its volume
// once, and a value marked `keep` encrypts stored data: with other values the stack could not read
// its own data.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse as parseEnv } from 'dotenv'
import { parse as parseYaml } from 'yaml'
import type { ComposeConfig } from '../stack.ts'
import type { Container } from '../containers.ts'
import { findEnvFiles, readEnvText } from '../../env/files.ts'
import { dockerFolder, root } from '../../repository.ts'
import { run } from '../../run.ts'
import { parseSecretRecord, type SecretRecord } from './secret-record.ts'
import { readFromVolumes } from './files.ts'

/** A database with its volume, and the secrets that its data depends on. */
export interface DatabaseVolume {
  service: string
  image: string
  /** The volume's name and where it is mounted. */
  volume: string
  target: string
  /** By the name under which they are recorded. */
  secrets: Record<string, string>
  /** All values of the application's env file. */
  values: string[]
  /** What people call the password: its key in the env file. */
  passwordKey: string
  /**
   * The database, and the role that its application logs in with; undefined for one that
   * infra/docker/postgres/init.sh does not make.
   */
  database: string | undefined
  login: string | undefined
}

/** The name under which a database's password is recorded. */
export const postgresPasswordKey = 'POSTGRES_PASSWORD'
const recordName = 'kgc-secrets.json'

/**
 * The databases among the services: those that take POSTGRES_PASSWORD and have a named volume where
 * the image keeps its data.
 */
export function databaseVolumesOf(
  all: ComposeConfig,
  services: string[],
  env: string,
): DatabaseVolume[] {
  const folders = findEnvFiles(root, env)
    .files.filter(({ folder }) => folder)
    .map(file => ({ ...file, values: parseEnv(readEnvText(file.path) ?? '') }))
  return services.flatMap(service => {
    const { environment: given, volumes, image = '' } = all.services[service] ?? {}
    const mount = volumes?.find(
      ({ type, source, target }) =>
        type === 'volume' && source && target.startsWith('/var/lib/postgresql'),
    )
    const secret = given?.[postgresPasswordKey]
    if (!secret || !mount) return []
    const file = folders.find(({ folder }) => brings(folder, service))
    const kept = (file?.entries ?? [])
      .filter(({ keep, key }) => keep && file?.values[key])
      .map(({ key }) => [key, file!.values[key]!])
    const passwordKey =
      Object.entries(file?.values ?? {}).find(([, value]) => value === secret)?.[0] ??
      postgresPasswordKey
    const volume = all.volumes?.[mount.source!]?.name ?? mount.source!
    return [
      {
        service,
        image,
        volume,
        target: mount.target,
        secrets: { [postgresPasswordKey]: secret, ...Object.fromEntries(kept) },
        values: Object.values(file?.values ?? {}),
        passwordKey,
        database: given.POSTGRES_DB ?? undefined,
        login: given.DATABASE_LOGIN ?? undefined,
      },
    ]
  })
}

/** Whether a folder's own Compose file has the service. */
const brings = (folder: string, service: string): boolean =>
  service in
  ((
    parseYaml(readFileSync(join(dockerFolder, folder, 'docker-compose.yml'), 'utf8')) as {
      services?: object
    }
  ).services ?? {})

/** The stores whose volume is there, each with its record, if it has one. */
export async function readSecretRecords(
  stores: DatabaseVolume[],
  seen: Map<string, Container>,
): Promise<Map<DatabaseVolume, SecretRecord | undefined>> {
  return new Map(
    [...(await readFromVolumes(stores, seen, recordName))].map(([store, text]) => [
      store,
      parseSecretRecord(text),
    ]),
  )
}

/**
 * What a running database says to a password, over the network as its application asks; undefined
 * when it does not answer.
 */
export async function acceptsPassword(
  { secrets, login = '' }: DatabaseVolume,
  container: Container | undefined,
): Promise<boolean | undefined> {
  if (container?.State.Status !== 'running') return undefined
  // its own name leads to its address in the network: on the socket and on 127.0.0.1 anybody may
  // come in
  const script =
    'read -r PGPASSWORD; export PGPASSWORD PGCONNECT_TIMEOUT=5; exec psql -qtAXw -h "$HOSTNAME" -U "${0:-${POSTGRES_USER:-postgres}}" -d "${POSTGRES_DB:-${POSTGRES_USER:-postgres}}" -c "SELECT 1"'
  // the login of the env files: an interrupted rotation has changed it, and not yet the container's
  const argv = ['docker', 'exec', '-i', container.Id, 'sh', '-c', script, login]
  const { code, stderr } = await run(argv, {
    nothrow: true,
    timeout: 20_000,
    input: `${secrets[postgresPasswordKey]}\n`,
  })
  if (code === 0) return true
  return /authentication failed/.test(stderr) ? false : undefined
}

/**
 * Puts a record into the volume of a running database, whole or not at all. Throws Failure when it
 * cannot.
 */
export async function writeSecretRecord(
  { service, target }: DatabaseVolume,
  id: string,
  record: SecretRecord,
): Promise<void> {
  const file = join(target, recordName)
  const argv = [
    'docker',
    'exec',
    '-i',
    id,
    'sh',
    '-c',
    'umask 077 && cat > "$0.new" && mv "$0.new" "$0"',
    file,
  ]
  await run(argv, {
    what: `Record what the volume of ${service} was written with`,
    input: `${JSON.stringify(record)}\n`,
    timeout: 20_000,
  })
}
