// What is asked of a database that moves in, before it is dumped.
import { exit, Failure } from '../../errors.ts'
import { warn } from '../../report.ts'
import { run } from '../../run.ts'
import { lastLineOf } from '../../text.ts'
import type { PlannedDatabase } from '../plan.ts'
import type { Move, OldDatabase } from './find.ts'

/** Asks a database there. Out: a line a row. Throws Failure (refused) with the server's words. */
export type AskOld = (query: string) => Promise<string[]>

/** Asks by a server's own psql, over its socket. */
export const askingOld =
  (id: string, { user, database, service }: OldDatabase): AskOld =>
  async query => {
    const argv = ['psql', '--no-psqlrc', '-qtAX', '-v', 'ON_ERROR_STOP=1', '-U', user]
    const { code, stdout, stderr } = await run(
      ['docker', 'exec', id, ...argv, '-d', database, '-c', query],
      { nothrow: true, timeout: 300_000 },
    )
    if (code === 0) return stdout.split('\n').filter(Boolean)
    throw new Failure(exit.refused, `Ask ${service} there`, lastLineOf(stderr) || 'no answer', {
      next: `do POSTGRES_USER and POSTGRES_DB of ${service} say who made its volume?`,
    })
  }

const clients = `SELECT concat_ws(' ', usename, nullif(application_name, ''), host(client_addr)) FROM pg_stat_activity
  WHERE backend_type = 'client backend' AND datname = current_database() AND pid <> pg_backend_pid()`
const others = `SELECT datname FROM pg_database WHERE NOT datistemplate AND datname NOT IN (current_database(), 'postgres')`

interface Inspection {
  moves: Move[]
  whileRunning: boolean
  peopled: Set<string>
}

/**
 * Throws Failure (refused) while somebody is connected, unless that is known, and for data that this
 * release does not read. Notes who has accounts.
 */
export async function inspectDatabase(
  { moves, whileRunning, peopled }: Inspection,
  planned: PlannedDatabase,
  ask: AskOld,
): Promise<void> {
  const { plan, rules, databases } = moves.find(one => one.databases.has(planned))!
  const { service } = databases.get(planned)!
  const what = `Look at ${service} there`
  const refuse = (why: string, next: string, evidence = '') =>
    new Failure(exit.refused, what, why, { next, evidence })
  const connected = await ask(clients)
  if (connected.length && !whileRunning)
    throw refuse(
      'somebody is connected to it, and what is written from now on would be lost',
      'end that there, then the same command again; or with --while-running, for a try',
      connected.join('\n'),
    )
  for (const { query, why, next } of rules.refuse ?? [])
    if ((await ask(query)).length) throw refuse(why, next)
  const beside = await ask(others)
  if (beside.length)
    warn(`${service}: other databases of that server do not come: ${beside.join(', ')}`)
  const people = rules.people && (await ask(rules.people).catch(() => []))
  if (people?.length) peopled.add(plan.folder)
}
