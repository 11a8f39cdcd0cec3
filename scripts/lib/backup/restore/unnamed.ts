// Which stack --go-live and --drop-old mean without a mode: dev's, as everywhere, unless others are there alone.
import { listHeldNetworks, requireEngine } from '../../compose/containers.ts'
import { stackModes } from '../../compose/stack.ts'
import { exit, Failure } from '../../errors.ts'
import { run } from '../../run.ts'

/** The modes in which containers of this machine were started; `networks`: of those in one of them. */
async function listStartedModes(networks: string[] = []): Promise<string[]> {
  const label = 'com.docker.compose.project.config_files'
  const filters = [`label=${label}`, ...networks.map(id => `network=${id}`)]
  const { stdout } = await run(
    [
      ...['docker', 'ps', '-a', '--format', `{{.Label "${label}"}}`],
      ...filters.flatMap(one => ['--filter', one]),
    ],
    { what: 'Ask the Docker engine' },
  )
  return stackModes().filter(mode => stdout.includes(`infra/docker/docker-compose.${mode}.yml`))
}

/** Throws Failure (refused) where no mode is named and the stack that is meant is not dev's. */
export async function refuseUnnamed(verb: '--go-live' | '--drop-old'): Promise<void> {
  await requireEngine()
  const command = `npx zx scripts/restore.ts ${verb}`
  const held = verb === '--go-live' ? await listHeldNetworks() : undefined
  if (held && !held.length)
    throw new Failure(exit.refused, 'Choose the stack', 'no stack on this machine is held back', {
      next: `for an environment on Kubernetes: ${command} ENVIRONMENT --target kubernetes`,
    })
  const modes = await listStartedModes(held)
  if (!modes.length || modes.includes('dev')) return
  throw new Failure(
    exit.refused,
    'Choose the stack',
    `no mode is named, which means dev; what ${held ? 'is held back' : 'was started'} here is ${modes.join(', ')}`,
    { next: modes.map(mode => `${command} ${mode}`).join(', or ') },
  )
}
