// The engine refuses a container whose CPU limit is above the machine's CPUs: `up` lowers the limit
// with an additional Compose file.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ComposeConfig, Stack } from './stack.ts'
import { readEngineInfo } from '../engine/engine.ts'
import { say } from '../report.ts'

/** The services that want more CPUs than there are, with what there is. */
export function lowerCpuLimits(
  { services }: ComposeConfig,
  there: number,
): Record<string, { cpus: number }> {
  const greedy = Object.entries(services).filter(([, { cpus }]) => Number(cpus ?? 0) > there)
  return Object.fromEntries(greedy.map(([name]) => [name, { cpus: there }]))
}

/**
 * The stack with no limit above the engine's CPUs. The same machine always gives the same one: a
 * second run changes nothing.
 */
export async function fitCpuLimits(stack: Stack, all: ComposeConfig): Promise<Stack> {
  const { NCPU } = (await readEngineInfo()).info
  const services = NCPU ? lowerCpuLimits(all, NCPU) : {}
  const names = Object.keys(services)
  if (!names.length) return stack
  say(
    `  the engine has ${NCPU} CPU${NCPU === 1 ? '' : 's'}: the limit of ${names.join(', ')} is lowered to that`,
  )
  const folder = mkdtempSync(join(tmpdir(), 'kgc-cpus-'))
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
  const file = join(folder, 'docker-compose.cpus.yml')
  writeFileSync(file, JSON.stringify({ services }))
  return { ...stack, argv: [...stack.argv, '-f', file] }
}
