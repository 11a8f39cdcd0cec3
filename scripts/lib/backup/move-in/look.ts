// What is to move in, and what is refused before anything is touched.
import type { Container } from '../../compose/containers.ts'
import { findTakenPorts } from '../../compose/ports.ts'
import { selectServices } from '../../compose/services.ts'
import { readComposeConfig, type ComposeConfig, type Stack } from '../../compose/stack.ts'
import { exit, Failure } from '../../errors.ts'
import { warn } from '../../report.ts'
import { run } from '../../run.ts'
import { planStack } from '../plan.ts'
import { refuseBlockedReleases } from '../restore/ready.ts'
import { describeOldImages } from './engine.ts'
import { findMove, findUnknownDatabases, findWriters, requireFound, type Move } from './find.ts'
import { readOldStack, type ComposeWords, type OldStack } from './old-stack.ts'
import { readMoveInRules } from './rules.ts'
import { requireStartable } from './server.ts'

/** Where a stack is that is moved in from, and what of it. */
export interface MoveInSource extends ComposeWords {
  /** Its folder; several where each application has one. */
  from: string[]
  /** Folders of infra/docker; none: all that is there. */
  folders: string[]
  /** It may go on to write: a try. */
  whileRunning: boolean
}

/** What moves in. */
export interface FoundMoves {
  all: ComposeConfig
  olds: OldStack[]
  moves: Move[]
  /** Folders that were named and keep no data there. */
  beside: string[]
}

/**
 * Finds what moves in; only reads. Throws Failure (refused) for a database that nobody knows, and while
 * the applications there may write.
 */
export async function findMoves(
  stack: Stack,
  { from, files, envFiles, folders, whileRunning }: MoveInSource,
): Promise<FoundMoves> {
  const all = await readComposeConfig(stack)
  const olds: OldStack[] = []
  for (const folder of from) olds.push(await readOldStack(folder, { files, envFiles }))
  refuseItself(olds, stack)
  const named = folders.filter(name => readMoveInRules(name))
  const moves = planStack(stack, all)
    .filter(({ folder }) => !folders.length || named.includes(folder))
    .flatMap(plan => {
      const rules = readMoveInRules(plan.folder)
      return (rules && findMove(olds, plan, rules)) ?? []
    })
  requireFound(moves, named, olds)
  refuseUnknown(findUnknownDatabases(olds, moves), folders)
  refuseWriters(moves, whileRunning)
  for (const one of moves.flatMap(({ databases }) => [...databases.values()]))
    if (!one.running) await requireStartable(one)
  await refuseReleases(moves, olds, all)
  return { all, olds, moves, beside: folders.filter(name => !named.includes(name)) }
}

function refuseItself(olds: OldStack[], { project }: Stack): void {
  const same = olds.find(({ config }) => config.name === project)
  if (same)
    throw new Failure(
      exit.refused,
      `Read the stack in ${same.folder}`,
      `its project is called ${project}, as this stack is`,
      { next: 'choose another mode, such as prod: its project has another name' },
    )
}

function refuseUnknown(unknown: string[], folders: string[]): void {
  if (!unknown.length) return
  const why = `no application here knows the database ${unknown.join(', ')}`
  if (folders.length) return warn(`${why}: it does not come`)
  throw new Failure(exit.refused, 'Look at the databases there', why, {
    next: 'name the applications that are to come; or add the name to infra/docker/<application>/move-in.yaml',
  })
}

function refuseWriters(moves: Move[], whileRunning: boolean): void {
  const found = findWriters(moves)
  const [first] = found
  if (!first) return
  const words = found.map(({ services }) => services.join(', ')).join(', ')
  if (whileRunning)
    return warn(`${words} may write there meanwhile: what is written from now on does not come`)
  throw new Failure(
    exit.refused,
    'Look at what runs there',
    `${words} may write there, and what is written from now on would be lost`,
    {
      next: `docker stop ${found.flatMap(({ containers }) => containers).join(' ')}, then the same command again; or with --while-running, for a try`,
    },
  )
}

async function refuseReleases(moves: Move[], olds: OldStack[], all: ComposeConfig): Promise<void> {
  const databases = moves.flatMap(({ plan }) => plan.databases.map(({ service }) => ({ service })))
  const here = Object.entries(all.services).map(([name, { image }]) => [name, image] as const)
  await refuseBlockedReleases(
    { images: describeOldImages(moves, olds), databases },
    Object.fromEntries(here),
  )
}

/** Throws Failure (refused) for ports that others hold: at the end of a move nothing could start. */
export async function refuseMissingPorts(
  stack: Stack,
  all: ComposeConfig,
  folders: string[],
  seen: Map<string, Container>,
): Promise<void> {
  const services = await selectServices(stack, all, folders)
  const taken = await findTakenPorts(all, services, [...seen.values()])
  if (!taken.length) return
  const words = taken.map(
    ({ service, port, by }) => `${port} (${service}) is used by ${by || 'another process'}`,
  )
  throw new Failure(exit.refused, 'Check the ports', words.join('; '), {
    next: 'stop it; for a try beside it other ports in the env files: HTTP_PORT, HTTPS_PORT, URL_PORT',
  })
}

/** The folders whose database here has a volume already. */
export async function listWrittenFolders(moves: Move[]): Promise<string[]> {
  const { stdout } = await run(['docker', 'volume', 'ls', '-q'], { what: 'List the volumes' })
  const there = stdout.split('\n')
  return moves
    .filter(({ plan }) => plan.databases.some(({ volume }) => there.includes(volume)))
    .map(({ plan }) => plan.folder)
}
