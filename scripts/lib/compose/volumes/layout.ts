// Volumes from before infra/docker/postgres/init.sh made their roles: the applications' roles are
// not in them, so nothing could log in.
import type { Stack } from '../stack.ts'
import type { Container } from '../containers.ts'
import { readFromVolumes } from './files.ts'
import type { DatabaseVolume } from './secrets.ts'
import { Failure, exit } from '../../errors.ts'

/** What init.sh leaves in the volume when it is done. */
const marker = 'kgc-database.json'

/** The stores whose volume holds a database that init.sh has not made. */
export async function findOldVolumes(
  stores: DatabaseVolume[],
  seen: Map<string, Container>,
): Promise<DatabaseVolume[]> {
  const unmarked = [
    ...(await readFromVolumes(
      stores.filter(({ login }) => login),
      seen,
      marker,
    )),
  ]
    .filter(([, text]) => !text)
    .map(([store]) => store)
  // one that is empty is made at this start; so is one whose first start was interrupted: by initdb
  // no server has run, and init.sh leaves a mark (start.sh)
  const [options, begun] = await Promise.all(
    ['postmaster.opts', 'kgc-first-start'].map(name => readFromVolumes(unmarked, seen, name)),
  )
  return unmarked.filter(store => options!.get(store) && !begun!.get(store))
}

/** The command that takes them over, and keeps them. */
export const takeOverCommand = (
  { project, mode }: Pick<Stack, 'project' | 'mode'>,
  old: DatabaseVolume[],
): string =>
  `infra/docker/postgres/take-over.sh ${project} ${mode} ${old.map(({ database, image }) => `${database}=${image}`).join(' ')}`

/** Throws Failure (refused) that names them, with the command that dumps and restores them. */
export function refuseOldVolumes(stack: Stack, old: DatabaseVolume[], what: string): void {
  if (!old.length) return
  throw new Failure(
    exit.refused,
    what,
    `the data of ${old.map(({ service }) => service).join(', ')} is older than the applications' own database roles`,
    {
      evidence: old
        .map(
          ({ volume, login }) =>
            `${volume}: has no role ${login}, or its first start was interrupted`,
        )
        .join('\n'),
      next: `${takeOverCommand(stack, old)}   (dumps it, restores it into a new volume, keeps the old one; if the data is not needed: ${stack.mode === 'demo' ? 'make demo-down' : 'make purge'})`,
    },
  )
}
