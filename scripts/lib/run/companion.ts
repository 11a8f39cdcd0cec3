// Starts processes that run beside the script or outlive it.
import { spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import type { Socket } from 'node:net'
import { companions } from '../interrupt.ts'
import { writeStderr } from '../output.ts'

/**
 * Starts a daemon that outlives the script; what it prints is added to the file `log`. Out: its
 * process id, 0 when it cannot be started.
 */
export function spawnDetached(argv: string[], log: string): number {
  const file = openSync(log, 'a', 0o640)
  const child = spawn(argv[0]!, argv.slice(1), {
    cwd: '/',
    detached: true,
    stdio: ['ignore', file, file],
  })
  child.on('error', error => writeStderr(`${argv[0]}: ${error.message}\n`))
  child.unref()
  closeSync(file)
  return child.pid ?? 0
}

/** Runs a command until its input ends, as it does when the script is killed. */
const untilInputEnds =
  'exec 3<&0; "$@" & child=$!; { cat; kill $child; } <&3 >/dev/null 2>&1 & exec 3<&-; wait $child'

/** A process that serves the script. */
export interface Companion {
  /** Its exit code, if it ends before the script. */
  ended: Promise<number>
  /** From now on the script does not wait for it. */
  leave: () => void
}

/**
 * Starts a process that serves the script until that ends, however it ends. A signal to the script
 * leaves it to the work that is done then.
 */
export function startCompanion(
  argv: string[],
  env: Record<string, string>,
  onOutput: (text: string) => void,
): Companion {
  if (process.env.DEBUG) writeStderr(`$ ${argv.join(' ')}\n`)
  const child = spawn('sh', ['-c', untilInputEnds, 'sh', ...argv], {
    detached: true,
    env: { ...process.env, ...env },
  })
  companions.add(child)
  child.on('close', () => companions.delete(child))
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', onOutput)
  return {
    ended: new Promise((done, fail) =>
      child.on('error', fail).on('close', code => done(code ?? 137)),
    ),
    leave: () => {
      child.unref()
      for (const one of [child.stdin, child.stdout, child.stderr] as unknown as Socket[])
        one.unref()
    },
  }
}
