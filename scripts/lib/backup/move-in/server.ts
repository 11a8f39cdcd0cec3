// The servers of databases that move in: the one that runs there, or else one of its own image on a
// copy of its volume, for a server that starts writes to its data.
import { exit, Failure } from '../../errors.ts'
import { step } from '../../report.ts'
import { run } from '../../run.ts'
import { waitForServer } from '../compose/engine.ts'
import { workplaceOptions, type Workplace } from '../compose/workplace.ts'
import { runHelper } from '../helper.ts'
import type { OldDatabase } from './find.ts'
import { listUsers } from './old-stack.ts'

/** Finds the container of a database's server; starts one where none runs. */
export type FindServer = (old: OldDatabase) => Promise<string>

/** The servers of a workplace, each started once; they go with it. */
export function findingServers(place: Workplace): FindServer {
  const started = new Map<OldDatabase, Promise<string>>()
  return old => {
    const known = old.running ? Promise.resolve(old.running.Id) : started.get(old)
    const server = known ?? startOnCopy(place, old)
    started.set(old, server)
    return server
  }
}

/** Throws Failure (refused) where a volume is not there, somebody else runs on it, or its image is not here. */
export async function requireStartable({ source, service, image }: OldDatabase): Promise<void> {
  const what = `Look at the volume of ${service}`
  const refuse = (why: string, next: string) => new Failure(exit.refused, what, why, { next })
  const isFolder = source.startsWith('/')
  const { code } = await run(['docker', 'volume', 'inspect', source], { nothrow: true })
  if (!isFolder && code !== 0)
    throw refuse(
      `there is no volume ${source}`,
      'docker volume ls: is it the machine of that stack?',
    )
  const users = await listUsers(source)
  if (users.length)
    throw refuse(`${users.join(', ')} runs on ${source}`, `docker stop ${users.join(' ')}`)
  if ((await run(['docker', 'image', 'inspect', image], { nothrow: true })).code === 0) return
  const pulled = await run(['docker', 'pull', '--quiet', image], { nothrow: true })
  if (pulled.code !== 0)
    throw refuse(
      `its image ${image} is neither here nor can it be pulled`,
      `docker pull ${image}, or start ${service} there`,
    )
}

async function startOnCopy(place: Workplace, old: OldDatabase): Promise<string> {
  const { service, source, dataFolder: FOLDER, image } = old
  const NAME = `old-${service}`
  return step(`Start ${service} of the old stack on a copy of its volume`, async () => {
    const what = `Copy the data of ${service}`
    const env = { NAME, FOLDER }
    await runHelper(place, what, { script: ['copy-data.sh'], volume: `${source}:ro`, env })
    const { stdout } = await run(
      [
        ...['docker', 'run', '--detach', '--network', 'none', '--log-driver', 'json-file'],
        ...workplaceOptions(place),
        ...['--env', `PGDATA=/backup/${NAME}`, '--env', `POSTGRES_USER=${old.user}`],
        ...['--env', `POSTGRES_DB=${old.database}`, image],
        ...['postgres', '-c', 'listen_addresses=127.0.0.1'],
      ],
      { what: `Start ${service} on a copy of its volume` },
    )
    const id = stdout.trim()
    await waitForServer(`Start ${service} on a copy of its volume`, id)
    return id
  })
}
