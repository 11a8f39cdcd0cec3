// Gives a secret another value while the stack serves: the server accepts both, what reads it is
// restarted with the new one, and then the old one goes.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readContainers, listContainers, type Container } from '../containers.ts'
import { expectedServices } from '../services.ts'
import { startServices } from '../start.ts'
import { readComposeConfig, type ComposeConfig, type Stack } from '../stack.ts'
import { checkVolumeSecrets, recordSecrets } from '../volumes/check.ts'
import { writeEnvFiles } from '../../env/write.ts'
import { exit, Failure } from '../../errors.ts'
import { emit, printResult, say, step, table, warn } from '../../report.ts'
import { allowNew, forbidNew, forbidOld } from './credentials.ts'
import { watchGaps, type Gap } from './gaps.ts'
import type { Rotation } from './plan.ts'

/** Services that read a value, the server that knows it apart. */
export function findReaders(
  { services }: ComposeConfig,
  { kind, old }: Pick<Rotation, 'kind' | 'old'>,
): { readers: string[]; server: string | undefined } {
  const all = Object.keys(services).filter(name => JSON.stringify(services[name]).includes(old))
  const variable = { login: 'POSTGRES_PASSWORD', redis: 'REDIS_PASSWORD', restart: '' }[kind]
  const image = { login: /postgres|pgvector/, redis: /redis/, restart: /^$/ }[kind]
  const server = all.find(
    name =>
      services[name]?.environment?.[variable] === old && image.test(services[name]?.image ?? ''),
  )
  return { readers: all.filter(name => name !== server), server }
}

/**
 * Rotates a secret of a stack that is up. What fails before all readers have the new value is undone.
 * Throws Failure (5) then, and (6) when it fails later or cannot be undone.
 */
export async function rotateSecret(
  stack: Stack,
  rotation: Rotation,
  timeout: number,
): Promise<void> {
  const { key, kind } = rotation
  const seen = await readContainers(stack.project)
  const before = await readComposeConfig(stack)
  const found = findReaders(before, rotation)
  const { server } = found
  const readers = found.readers.filter(name => seen.has(name))
  const running = server ? seen.get(server) : undefined
  if (kind !== 'restart' && running?.State.Status !== 'running')
    throw new Failure(exit.refused, `Rotate ${key}`, 'the server that knows it does not run', {
      next: `docker compose -p ${stack.project} ps`,
    })
  if (rotation.note) warn(`${key}: ${rotation.note}`)
  const watch = watchGaps(stack)
  try {
    await replaceValue(stack, rotation, { before, readers, server, running, timeout })
    reportGaps(rotation, await watch.measure(server ? [...readers, server] : readers))
  } finally {
    watch.stop()
  }
}

interface Exchange {
  before: ComposeConfig
  readers: string[]
  server: string | undefined
  running: Container | undefined
  timeout: number
}

async function replaceValue(
  stack: Stack,
  rotation: Rotation,
  { before, readers, server, running, timeout }: Exchange,
): Promise<void> {
  if (running)
    await step(`Let ${server} accept the new ${rotation.key} beside the old one`, () =>
      allowNew(rotation, running),
    )
  try {
    writeEnvFiles([rotation.change])
    await withServerAsItWas(stack, before, server, one => restart(one, readers, timeout))
  } catch (error) {
    await undo(stack, rotation, readers, running, timeout, error as Error)
  }
  if (server) await retireOld(stack, rotation, server, timeout)
  const config = await readComposeConfig(stack)
  const names = Object.keys(config.services)
  await recordSecrets(
    stack,
    await checkVolumeSecrets(stack, config, names, await readContainers(stack.project)),
  )
}

function reportGaps({ key, change }: Rotation, gaps: Gap[]): void {
  emit('rotated', { key, gaps })
  const rows = gaps.map(({ service, ms }) => [service, ms ? `${(ms / 1000).toFixed(1)} s` : '-'])
  printResult(table([['service', 'away'], ...rows]))
  say(`  ${key} has another value, in ${change.file.name}; the old one is refused`)
}

/** Restarts services as the env files say now and waits until they are ready. */
async function restart(stack: Stack, services: string[], timeout: number): Promise<void> {
  const config = await readComposeConfig(stack)
  const start = {
    ...{ stack, config, since: Date.now(), timeout },
    expected: await expectedServices(config, services),
    containersBefore: await listContainers(stack.project),
  }
  const what = `Restart ${services.join(', ')}`
  await step(what, () => startServices(start, services, what))
}

/**
 * The stack, but for its server's variables, which stay: Compose would restart it before what reads
 * it. (With --no-deps Compose 2.26 labels the containers with another hash, and replaces them once
 * more at the next start.)
 */
async function withServerAsItWas(
  stack: Stack,
  { services }: ComposeConfig,
  server: string | undefined,
  work: (stack: Stack) => Promise<void>,
): Promise<void> {
  if (!server) return work(stack)
  const folder = mkdtempSync(join(tmpdir(), 'kgc-rotation-'))
  const file = join(folder, 'docker-compose.yml')
  const { environment } = services[server]!
  try {
    writeFileSync(file, JSON.stringify({ services: { [server]: { environment } } }), {
      mode: 0o600,
    })
    await work({ ...stack, argv: [...stack.argv, '-f', file] })
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function undo(
  stack: Stack,
  rotation: Rotation,
  readers: string[],
  server: Container | undefined,
  timeout: number,
  cause: Error,
): Promise<never> {
  const { key, change, back } = rotation
  const failed = cause instanceof Failure ? cause : undefined
  const why = failed?.why ?? cause.message
  const evidence = failed?.evidence ? { evidence: failed.evidence } : {}
  try {
    writeEnvFiles([back])
    await restart(stack, readers, timeout)
    if (server) await forbidNew(rotation, server)
  } catch (error) {
    throw new Failure(exit.broken, `Rotate ${key}`, `${why}; undoing it failed, too`, {
      evidence: `${(error as Error).message}`,
      next: `look at ${change.file.name}, then make up`,
    })
  }
  throw new Failure(exit.rolledBack, `Rotate ${key}`, why, {
    ...evidence,
    serving: 'the old value, as before',
    next: 'correct that, then the same command again',
  })
}

/** The server starts with the new value alone, and the old one is refused. */
async function retireOld(
  stack: Stack,
  rotation: Rotation,
  server: string,
  timeout: number,
): Promise<void> {
  try {
    await restart(stack, [server], timeout)
    await step(`Take the old ${rotation.key} away`, async () =>
      forbidOld(rotation, (await readContainers(stack.project)).get(server)!),
    )
  } catch (error) {
    const { why, evidence } = error as Failure
    throw new Failure(exit.broken, `Rotate ${rotation.key}`, why ?? (error as Error).message, {
      ...(evidence ? { evidence } : {}),
      next: `make up; all has the new value, and ${server} may still accept the old one, too: rotate it once more then`,
    })
  }
}
