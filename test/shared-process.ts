// Runs test files one after the other in one process, as file-pool.ts sends them.
import { Server } from 'node:net'
import { join } from 'node:path'
import { mark } from './file-pool.ts'

const uvuState: { UVU_DEFER?: number; UVU_QUEUE?: unknown[][] } = globalThis as object
// before uvu is read: its files wait for `exec`
uvuState.UVU_DEFER = 1
const { exec } = await import('uvu')

/** What tests put something else in the place of, and must put back: the next file meets it. */
const shared: [object, string][] = [
  [Date, 'now'],
  [Server.prototype, 'listen'],
  [globalThis, 'fetch'],
  [process, 'exit'],
  [process.stdout, 'write'],
  [process.stderr, 'write'],
]
const readShared = () => [
  process.cwd(),
  ...shared.map(([object, key]) => Reflect.get(object, key) as unknown),
]
const original = readShared()

/** Runs a file in this process's first environment; its exit code. */
async function runFile(file: string, environment: NodeJS.ProcessEnv): Promise<number> {
  for (const key of Object.keys(process.env)) delete process.env[key]
  Object.assign(process.env, environment)
  process.exitCode = 0
  uvuState.UVU_QUEUE!.splice(0, Infinity, [null])
  try {
    await import(join(import.meta.dirname, '..', file))
    await exec()
    const left = readShared().findIndex((one, i) => one !== original[i])
    if (left >= 0) {
      const name = left ? shared[left - 1]![1] : 'the folder'
      throw new Error(`${file} leaves ${name} changed for the files after it`)
    }
    return Number(process.exitCode)
  } catch (error) {
    console.error(error)
    return 1
  }
}

const first = { ...process.env }
process.on('message', async (file: string) => {
  const code = await runFile(file, first)
  process.stderr.write(mark)
  process.stdout.write(`${mark}${code}`)
})
process.once('disconnect', () => process.exit(1))
