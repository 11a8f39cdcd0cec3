// A server's second credential: made before anybody uses it, and the first one taken away after
// nobody does. Passwords go in by standard input, never in an argument.
import type { Container } from '../containers.ts'
import { exit, Failure } from '../../errors.ts'
import { run, type RunOutput } from '../../run.ts'
import type { Rotation } from './plan.ts'

const inContainer = ({ Id }: Container, script: string, input: string): Promise<RunOutput> =>
  run(['docker', 'exec', '--interactive', Id, 'sh', '-c', script], {
    nothrow: true,
    timeout: 30_000,
    input,
  })

async function require(what: string, done: Promise<RunOutput>, expected = ''): Promise<void> {
  const { code, stdout, stderr } = await done
  if (code === 0 && stdout.includes(expected)) return
  throw new Failure(exit.rolledBack, what, 'the server refused it', {
    evidence: (stdout + stderr).trim(),
  })
}

const psql =
  'exec psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 -U "$POSTGRES_USER" -d "$POSTGRES_DB"'

/**
 * Gives a role a password, or takes it away. psql hashes it: neither the server's log nor
 * pg_stat_statements sees it.
 */
export const setRolePassword = (
  server: Container,
  role: string,
  password?: string,
): Promise<void> =>
  require(`Set the password of ${role}`, password === undefined
    ? inContainer(server, psql, `ALTER ROLE "${role}" PASSWORD NULL;\n`)
    : inContainer(server, `${psql} -c '\\password ${role}'`, `${password}\n${password}\n`))

/** Adds (>) or removes (<) a password of the user that the application is. */
const setRedisPassword = (server: Container, sign: '>' | '<', password: string): Promise<void> =>
  require('Set the passwords of Redis', inContainer(
    server,
    'REDISCLI_AUTH=$REDIS_PASSWORD exec redis-cli --no-auth-warning',
    `ACL SETUSER default ${sign}${password}\n`,
  ), 'OK')

/** Makes the new credential valid beside the old one. */
export async function allowNew(rotation: Rotation, server: Container): Promise<void> {
  if (rotation.logins) await setRolePassword(server, rotation.logins.new, rotation.new)
  else await setRedisPassword(server, '>', rotation.new)
}

/** Takes the new credential away again, when the rotation is undone. */
export async function forbidNew(rotation: Rotation, server: Container): Promise<void> {
  if (rotation.logins) await setRolePassword(server, rotation.logins.new)
  else await setRedisPassword(server, '<', rotation.new)
}

/**
 * Takes the old credential away; a Redis that was started with the new one does not know it. Throws
 * Failure (broken) when it is accepted all the same.
 */
export async function forbidOld(rotation: Rotation, server: Container): Promise<void> {
  if (rotation.logins) await setRolePassword(server, rotation.logins.old)
  if (!(await accepts(rotation, server))) return
  throw new Failure(exit.broken, `Take the old ${rotation.key} away`, 'it is still accepted')
}

async function accepts({ old, logins }: Rotation, server: Container): Promise<boolean> {
  // over the network: on the socket and on 127.0.0.1 PostgreSQL asks for no password
  const script = logins
    ? `read -r PGPASSWORD; export PGPASSWORD PGCONNECT_TIMEOUT=5; exec psql -qtAXw -h "$HOSTNAME" -U ${logins.old} -d "$POSTGRES_DB" -c 'SELECT 1'`
    : 'read -r REDISCLI_AUTH; export REDISCLI_AUTH; redis-cli ping | grep -q PONG'
  return (await inContainer(server, script, `${old}\n`)).code === 0
}
