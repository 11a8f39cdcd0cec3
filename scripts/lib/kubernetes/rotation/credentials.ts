// What a server in a pod lets in, asked and changed in its own container. Passwords go in by standard
// input, never in an argument.
import { exit, Failure } from '../../errors.ts'
import type { RunOutput } from '../../run.ts'
import { lastLineOf } from '../../text.ts'
import type { Environment } from '../environment.ts'
import { execInPod } from '../exec.ts'
import { otherLogin, type PasswordServer } from './servers.ts'

/** What pods log in with; Redis knows no login. */
export interface Credential {
  login?: string
  password: string
}

/** Runs a script in a server's container. */
export type ServerShell = (
  server: PasswordServer,
  script: string,
  input: string,
) => Promise<RunOutput>

export const createServerShell =
  (environment: Environment): ServerShell =>
  ({ pod, container }, script, input) =>
    execInPod(environment, { pod, container, argv: ['sh', '-c', script], input })

const psql =
  'exec psql --no-psqlrc -qtAX --set ON_ERROR_STOP=1 -U "${POSTGRES_USER:-postgres}" -d "$POSTGRES_DB"'
const redis = 'REDISCLI_AUTH=$REDIS_PASSWORD exec redis-cli --no-auth-warning'

async function ask(
  shell: ServerShell,
  server: PasswordServer,
  what: string,
  script: string,
  input: string,
): Promise<string> {
  const { code, stdout, stderr } = await shell(server, script, input)
  // redis-cli ends with 0 whatever the server says
  if (code === 0 && !/^(ERR|NOAUTH|NOPERM|WRONGPASS)/m.test(stdout)) return stdout.trim()
  throw new Failure(exit.broken, what, lastLineOf(stderr || stdout) || 'the server gives no answer')
}

/** Whether a server lets in who comes with a credential over the network, as pods do. */
export async function isLetIn(
  shell: ServerShell,
  server: PasswordServer,
  { login, password }: Credential,
): Promise<boolean> {
  // on the socket and on 127.0.0.1 PostgreSQL asks for no password
  const script = login
    ? `read -r PGPASSWORD; export PGPASSWORD PGCONNECT_TIMEOUT=5; exec psql -qtAXw -h "$HOSTNAME" -U '${login}' -d "$POSTGRES_DB" -c 'SELECT 1'`
    : 'read -r REDISCLI_AUTH; export REDISCLI_AUTH; redis-cli --no-auth-warning ping | grep -q PONG'
  return (await shell(server, script, `${password}\n`)).code === 0
}

/** How many sessions a login has now. */
export async function countSessions(
  shell: ServerShell,
  server: PasswordServer,
  login: string,
): Promise<number> {
  const query = `SELECT count(*) FROM pg_stat_activity WHERE usename = '${login}'`
  return Number(await ask(shell, server, `Ask ${server.name} who is logged in`, psql, query))
}

/** Lets a credential in beside those that are let in now. psql hashes it: no log sees it. */
export async function letIn(
  shell: ServerShell,
  server: PasswordServer,
  { login, password }: Credential,
): Promise<void> {
  const what = `Let ${server.name} take the new password`
  if (login)
    await ask(shell, server, what, `${psql} -c '\\password ${login}'`, `${password}\n${password}\n`)
  else await ask(shell, server, what, redis, `ACL SETUSER default >${password}\n`)
}

/**
 * What a server lets in beside its credential: the other login of a database when it has a password, or
 * `password` of a Redis that takes more than one; undefined when there is nothing.
 */
export async function findOldCredential(
  shell: ServerShell,
  server: PasswordServer,
  { login }: Credential,
): Promise<string | undefined> {
  const what = `Ask ${server.name} whom else it lets in`
  if (!login) {
    const answer = await ask(shell, server, what, redis, 'ACL GETUSER default\n')
    return answer.split('\n').filter(line => /\b[\da-f]{64}\b/.test(line)).length > 1
      ? 'password'
      : undefined
  }
  const other = otherLogin(server.database!, login)
  if (!other) return undefined
  const query = `SELECT rolname FROM pg_authid WHERE rolname = '${other}' AND rolpassword IS NOT NULL`
  return (await ask(shell, server, what, psql, query)) || undefined
}

/** Lets nothing in any more but the credential of a server; `old`: by findOldCredential. */
export async function shutOut(
  shell: ServerShell,
  server: PasswordServer,
  { login, password }: Credential,
  old: string,
): Promise<void> {
  const what = `Let ${server.name} take one password only`
  if (login) await ask(shell, server, what, psql, `ALTER ROLE "${old}" PASSWORD NULL`)
  // its own probe asks with the password that it was started with
  else
    await ask(
      shell,
      server,
      what,
      `read -r p; [ "$p" = "$REDIS_PASSWORD" ] || { echo 'it was started with another password' >&2; exit 1; }
printf 'ACL SETUSER default resetpass >%s\\n' "$p" | REDISCLI_AUTH=$p redis-cli --no-auth-warning`,
      `${password}\n`,
    )
}
