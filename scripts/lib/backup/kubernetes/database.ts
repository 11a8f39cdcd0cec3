// A database of an environment as a place to work: its server by the network for the dump, a server of
// the same image in the same pod for the proof.
import { setTimeout as sleep } from 'node:timers/promises'
import { exit, Failure } from '../../errors.ts'
import { onInterrupt } from '../../interrupt.ts'
import type { Environment } from '../../kubernetes/environment.ts'
import type { Manifest } from '../../kubernetes/objects.ts'
import { warn } from '../../report.ts'
import type { BackupPlace, DatabasePlace } from '../engine.ts'
import type { PlannedDatabase } from '../plan.ts'
import { createDatabaseJob, serverContainerOf, workFolder } from './job.ts'
import { closeLogin, openLogin } from './login.ts'
import type { PodPlace } from './place.ts'
import { withJob } from './workplace.ts'

export const passwordFile = `${workFolder}/pgpass`

/** Lets `work` have a place beside a database. */
export function withDatabase<T>(
  environment: Environment,
  statefulSet: Manifest,
  one: PlannedDatabase,
  work: (place: DatabasePlace) => Promise<T>,
): Promise<T> {
  const job = createDatabaseJob(statefulSet, one.database)
  const env = serverContainerOf(statefulSet)?.env ?? []
  const POSTGRES_USER = env.find(({ name }) => name === 'POSTGRES_USER')?.value ?? 'postgres'
  return withJob(environment, job, place => {
    const runAt =
      (PGHOST: string): BackupPlace['run'] =>
      (what, script, more) =>
        place.run(what, script, { PGHOST, PGPASSFILE: passwordFile, POSTGRES_USER, ...more })
    return work({
      ...place,
      run: (...words) => withLogin(environment, one, place, {}, () => runAt(one.service)(...words)),
      withProofServer: async (what, prove) => {
        await waitForProofServer(place, what)
        return prove({ ...place, run: runAt('127.0.0.1') })
      },
    })
  })
}

/** Lets the place log in as the backup role, and by the passwords of `others`, while `work` is done. */
export async function withLogin<T>(
  environment: Environment,
  one: PlannedDatabase,
  { shell }: PodPlace,
  others: Record<string, string>,
  work: () => Promise<T>,
): Promise<T> {
  const forget = onInterrupt(() => closeLogin(environment, one))
  try {
    const own = { [`${one.database}_backup`]: await openLogin(environment, one) }
    const lines = Object.entries({ ...others, ...own }).map(
      ([role, password]) => `*:*:*:${role}:${password.replaceAll(/[\\:]/g, '\\$&')}\n`,
    )
    // over standard input: an argument could be read by others
    const { code, stderr } = await shell(`umask 077; cat >${passwordFile}`, [], lines.join(''))
    if (code !== 0) throw new Failure(exit.rolledBack, 'Bring a password', stderr.trim())
    return await work()
  } finally {
    forget()
    // it ends by itself: no reason to hide what was done, or why it failed
    await closeLogin(environment, one).catch((error: Error) => warn(error.message))
  }
}

async function waitForProofServer({ shell }: PodPlace, what: string): Promise<void> {
  for (let tries = 0; tries < 600; tries++) {
    if ((await shell('pg_isready -q -h 127.0.0.1')).code === 0) return
    await sleep(500)
  }
  throw new Failure(exit.rolledBack, what, 'its server did not start')
}
