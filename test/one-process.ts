// Runs scripts one after the other in this process: what takes a program half a second is read once for all of them.
// Usage: node --import=tsx test/one-process.ts '[["up.ts", "--help"], …]'; stdout: what each said, as JSON
import { join } from 'node:path'

export interface Said {
  status: number
  stdout: string
  stderr: string
}

class Exit extends Error {}

const streams = ['stdout', 'stderr'] as const
const write = process.stdout.write.bind(process.stdout)
const said: Said[] = []
for (const [index, [name, ...words]] of (JSON.parse(process.argv.at(-1)!) as string[][]).entries()) {
  const one: Said = { status: 0, stdout: '', stderr: '' }
  for (const stream of streams)
    process[stream].write = ((text: string, done?: () => void) => {
      one[stream] += text
      done?.()
      return true
    }) as typeof process.stdout.write
  process.exit = code => {
    one.status = Number(code)
    throw new Exit()
  }
  const script = join(import.meta.dirname, '../scripts', name!)
  process.argv = [process.execPath, script, ...words]
  // a module is run anew under another address
  await import(`${script}?${index}`).catch(error => {
    if (!(error instanceof Exit)) throw error
  })
  said.push(one)
}
process.exitCode = 0
write(JSON.stringify(said))
