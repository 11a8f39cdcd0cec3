// Runs scripts in this process: what a program reads at its start, which takes half a second, is
// read once for all of them. What one has learned the next one knows: that a secret is kept back,
// or a signal heard, is shown by a program of its own.
// Usage: node --import=tsx test/one-process.ts '[["up.ts", "--help"], …]'; stdout: what each said,
// as JSON
import { join } from 'node:path'

export interface CommandOutput {
  code: number
  stdout: string
  stderr: string
}

class Exit extends Error {}

let runs = 0

/**
 * Runs a script of the repository or the copy in `root`, with these variables besides; it must end
 * before another begins.
 */
export async function inProcess(
  root: string,
  [name, ...words]: string[],
  env: Record<string, string | undefined> = {},
): Promise<CommandOutput> {
  const said: CommandOutput = { code: 0, stdout: '', stderr: '' }
  const before = {
    exit: process.exit,
    argv: process.argv,
    env: { ...process.env },
    cwd: process.cwd(),
    stdout: process.stdout.write,
    stderr: process.stderr.write,
  }
  for (const stream of ['stdout', 'stderr'] as const)
    process[stream].write = ((text: string, done?: () => void) => {
      said[stream] += text
      done?.()
      return true
    }) as typeof process.stdout.write
  process.exit = code => {
    said.code = Number(code)
    throw new Exit()
  }
  const script = join(root, 'scripts', name!)
  process.argv = [process.execPath, script, ...words]
  for (const [key, value] of Object.entries(env))
    value === undefined ? delete process.env[key] : (process.env[key] = value)
  process.chdir(root)
  try {
    // a module is run anew under another address
    await import(`${script}?${runs++}`)
  } catch (error) {
    if (!(error instanceof Exit)) throw error
  } finally {
    Object.assign(process, { exit: before.exit, argv: before.argv, exitCode: 0 })
    for (const key of Object.keys(process.env)) if (!(key in before.env)) delete process.env[key]
    Object.assign(process.env, before.env)
    process.chdir(before.cwd)
    process.stdout.write = before.stdout
    process.stderr.write = before.stderr
  }
  return said
}

if (process.argv[1] === import.meta.filename) {
  const said: CommandOutput[] = []
  for (const call of JSON.parse(process.argv.at(-1)!) as string[][])
    said.push(await inProcess(join(import.meta.dirname, '..'), call))
  console.log(JSON.stringify(said))
}
