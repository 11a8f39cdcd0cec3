// A restored stack that is held back: it answers, but has no way out of this machine, and nothing works
// off queues or schedules (infra/docker/held.yml). Its network says so.
import { join } from 'node:path'
import { isHeld, listHeldNetworks } from '../../compose/containers.ts'
import type { ComposeConfig, Stack } from '../../compose/stack.ts'
import { exit, Failure } from '../../errors.ts'
import { dockerFolder, monitoringFolder } from '../../repository.ts'
import { step } from '../../report.ts'
import { run } from '../../run.ts'

/** The Compose files that hold a stack back. */
export const heldFiles = ({ monitored = false }: Stack): string[] =>
  [dockerFolder, ...(monitored ? [monitoringFolder] : [])].map(folder => join(folder, 'held.yml'))

/** Throws Failure (refused) while a restore is held back: a start would let its mail and webhooks out. */
export async function refuseHeld({ project, mode }: Stack): Promise<void> {
  if (!(await isHeld(project))) return
  throw new Failure(
    exit.refused,
    `Start ${project}`,
    'a restored copy is held back: a start would let its mail and webhooks out',
    { next: `npx zx scripts/restore.ts --go-live ${mode}, when nothing else serves these people` },
  )
}

/** Removes a project's containers in a network: Compose moves none that is there to another one. */
async function removeContainersIn(project: string, network: string): Promise<void> {
  const filters = [`network=${network}`, `label=com.docker.compose.project=${project}`]
  const { stdout } = await run(
    ['docker', 'ps', '-aq', ...filters.flatMap(one => ['--filter', one])],
    { what: 'Ask the Docker engine' },
  )
  const ids = stdout.split('\n').filter(Boolean)
  if (!ids.length) return
  await run(['docker', 'stop', ...ids], { what: 'Stop the applications' })
  await run(['docker', 'rm', ...ids], { what: 'Remove their containers' })
}

/** Takes the applications out of the networks that lead out of this machine; what they hold is in volumes. */
export const leaveOutside = ({ project }: Stack, { networks = {} }: ComposeConfig): Promise<void> =>
  step('Take the applications off the way out', async () => {
    for (const { name, internal } of Object.values(networks))
      if (!internal) await removeContainersIn(project, name)
  })

/** Takes them out of the network that held them back, and removes it. */
export const leaveHeld = (project: string): Promise<void> =>
  step('Take the applications out of the network that held them back', async () => {
    for (const id of await listHeldNetworks(project)) {
      await removeContainersIn(project, id)
      await run(['docker', 'network', 'rm', id], { what: 'Remove the network' })
    }
  })
