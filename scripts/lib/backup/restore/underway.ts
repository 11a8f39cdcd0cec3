// A restore whose swap has begun: some of the data is the backup's and some is from before. Until it
// has come to its end nothing may start on that. A volume says so, which outlives a reboot.
import { exit, Failure } from '../../errors.ts'
import { run } from '../../run.ts'

const label = 'hu.kgc.restoring'
const markOf = (project: string): string => `${project}_restore-underway`

/** Says that the restore of a backup swaps. A second time changes nothing. */
export async function markUnderway(project: string, backup: string): Promise<void> {
  const labels = [`com.docker.compose.project=${project}`, `${label}=${backup}`]
  await run(
    ['docker', 'volume', 'create', ...labels.flatMap(one => ['--label', one]), markOf(project)],
    { what: 'Note that the restore swaps' },
  )
}

/** Says that it has come to its end. */
export const clearUnderway = async (project: string): Promise<void> =>
  void (await run(['docker', 'volume', 'rm', markOf(project)], {
    what: 'Note that the restore has come to its end',
  }))

/** Throws Failure (refused) while the swap of a restore has not come to its end. */
export async function refuseUnderway(project: string, what: string): Promise<void> {
  const filters = [`label=${label}`, `label=com.docker.compose.project=${project}`]
  const { stdout } = await run(
    [
      ...['docker', 'volume', 'ls', '--format', `{{.Label "${label}"}}`],
      ...filters.flatMap(one => ['--filter', one]),
    ],
    { what: 'Ask the Docker engine' },
  )
  const backup = stdout.trim()
  if (!backup) return
  throw new Failure(
    exit.refused,
    what,
    `the restore of ${backup} has not come to its end: the stack has some of its data, and some from before`,
    { next: `the restore of ${backup} again: it goes on where it stood` },
  )
}
