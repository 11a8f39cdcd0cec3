// Lets a Job log in as a database's backup role, which has no password but for this: a random one that
// the server takes for minutes, and of which it gets a salted hash only.
import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto'
import { exit, Failure } from '../../errors.ts'
import type { Environment } from '../../kubernetes/environment.ts'
import { execInPod } from '../../kubernetes/exec.ts'
import { lastLineOf } from '../../text.ts'
import type { PlannedDatabase } from '../plan.ts'

/** What PostgreSQL stores of a password (RFC 5802, as its scram-common.c builds it). */
export function createScramVerifier(password: string, salt = randomBytes(16)): string {
  const iterations = 4096
  const salted = pbkdf2Sync(password, salt, iterations, 32, 'sha256')
  const keyOf = (name: string) => createHmac('sha256', salted).update(name).digest()
  const stored = createHash('sha256').update(keyOf('Client Key')).digest('base64')
  const server = keyOf('Server Key').toString('base64')
  return `SCRAM-SHA-256$${iterations}:${salt.toString('base64')}$${stored}:${server}`
}

/** Runs SQL in the database's own container as its superuser, who comes in by the socket. Out: rows of columns. Throws Failure (5). */
export async function askInPod(
  environment: Environment,
  { service }: Pick<PlannedDatabase, 'service'>,
  what: string,
  query: string,
): Promise<string[][]> {
  const script =
    'exec psql --no-psqlrc -qtAX -F "|" -v ON_ERROR_STOP=1 -U "${POSTGRES_USER:-postgres}" -d postgres -f -'
  const { code, stdout, stderr } = await execInPod(environment, {
    ...{ pod: `${service}-0`, container: 'postgres', argv: ['sh', '-c', script], input: query },
  })
  if (code !== 0) throw new Failure(exit.rolledBack, what, lastLineOf(stderr) || 'no answer')
  return stdout
    .split('\n')
    .filter(Boolean)
    .map(line => line.split('|'))
}

/** Minutes for which the password is good: a dump logs in at its beginning. */
const passwordMinutes = 30

/** Gives the backup role its password. */
export async function openLogin(
  environment: Environment,
  one: PlannedDatabase,
  now = Date.now(),
): Promise<string> {
  const password = randomBytes(24).toString('base64url')
  const until = new Date(now + passwordMinutes * 60_000).toISOString()
  await askInPod(
    environment,
    one,
    `Let ${one.database}_backup log in`,
    `ALTER ROLE "${one.database}_backup" PASSWORD '${createScramVerifier(password)}' VALID UNTIL '${until}'`,
  )
  return password
}

/** Takes it away again. */
export const closeLogin = (environment: Environment, one: PlannedDatabase): Promise<unknown> =>
  askInPod(
    environment,
    one,
    `Take the password of ${one.database}_backup away`,
    `ALTER ROLE "${one.database}_backup" PASSWORD NULL VALID UNTIL 'infinity'`,
  )
