// Brings a file out of a pod, or into one, in ranges. `kubectl exec` may end a long stream early and
// well (kubernetes/kubernetes#124571), so nothing counts but how many bytes have arrived.
import { Readable } from 'node:stream'
import { exit, Failure } from '../../errors.ts'
import { retryAttempts, type Attempt } from '../../retry.ts'
import type { RunOutput } from '../../run.ts'
import { lastLineOf } from '../../text.ts'

/** Runs a shell's script in the pod, with words as $0, $1 and so on, and its standard input. */
export type PodShell = (script: string, words?: string[], input?: string) => Promise<RunOutput>

/** Bytes that one command brings. */
export const rangeBytes = 2 * 1024 * 1024
/** ms between the tries of a range. */
const retryDelays = [500, 1000, 2000, 4000, 8000]
/** How often a range may come cut from a command that ended well. */
const cutLimit = 3

/** How many bytes a file in the pod has. Throws Failure (5). */
export async function measureRemoteFile(shell: PodShell, path: string): Promise<number> {
  const { stdout, stderr, code } = await shell('stat -c %s "$0"', [path])
  if (code === 0 && /^\d+\s*$/.test(stdout)) return Number(stdout)
  throw new Failure(exit.rolledBack, `Fetch ${path}`, lastLineOf(stderr) || 'no answer')
}

/**
 * A file of the pod as it comes, range by range; one that arrives cut is asked for again. Throws
 * Failure (5) where it stays cut.
 */
export function readRemoteFile(
  shell: PodShell,
  path: string,
  bytes: number,
  delays: number[] = retryDelays,
): Readable {
  async function* ranges() {
    for (let index = 0; index * rangeBytes < bytes; index++) {
      const length = Math.min(rangeBytes, bytes - index * rangeBytes)
      yield await readRange(shell, path, { index, length }, delays)
    }
  }
  return Readable.from(ranges(), { objectMode: false })
}

// as text: whatever carries it, a byte that is no character comes through
const rangeScript = `dd if="$0" bs=${rangeBytes} skip="$1" count=1 2>/dev/null | base64`

async function readRange(
  shell: PodShell,
  path: string,
  { index, length }: { index: number; length: number },
  delays: number[],
): Promise<Buffer> {
  let cuts = 0
  const outcome = await retryAttempts(async (): Promise<Attempt<Buffer>> => {
    const { stdout, stderr, code } = await shell(rangeScript, [path, `${index}`])
    const range = Buffer.from(stdout, 'base64')
    if (code === 0 && range.length === length) return { done: range }
    const why = `${range.length} of ${length} bytes arrived`
    if (code !== 0) return { why: `${why}: ${lastLineOf(stderr)}`, wait: 0 }
    return ++cuts < cutLimit ? { why, wait: 0 } : { why }
  }, delays)
  if ('done' in outcome) return outcome.done
  const from = index * rangeBytes
  throw new Failure(exit.rolledBack, `Fetch ${path} from byte ${from}`, outcome.why, {
    next: 'the same command again; nothing of this backup counts',
  })
}

// what a try before has written goes first, so that each range is there once
const appendScript =
  'truncate -s "$1" "$0" && base64 -d >>"$0" && test "$(stat -c %s "$0")" = "$2" && echo whole'

/** Writes a file of the pod, range by range. Throws Failure (5) where one does not arrive whole. */
export async function writeRemoteFile(
  shell: PodShell,
  path: string,
  bytes: AsyncIterable<Buffer | Uint8Array>,
  delays: number[] = retryDelays,
): Promise<void> {
  const what = `Bring ${path}`
  const made = await shell('umask 077; mkdir -p "${0%/*}" && : >"$0"', [path])
  if (made.code !== 0) throw new Failure(exit.rolledBack, what, lastLineOf(made.stderr))
  let from = 0
  for await (const range of cutRanges(bytes)) {
    const words = [path, `${from}`, `${(from += range.length)}`]
    const input = `${range.toString('base64')}\n`
    const outcome = await retryAttempts(async (): Promise<Attempt<true>> => {
      const { stdout, stderr } = await shell(appendScript, words, input)
      if (stdout.trim() === 'whole') return { done: true }
      return { why: lastLineOf(stderr) || 'not all of it arrived', wait: 0 }
    }, delays)
    if (!('done' in outcome))
      throw new Failure(exit.rolledBack, what, outcome.why, { next: 'the same command again' })
  }
}

async function* cutRanges(bytes: AsyncIterable<Buffer | Uint8Array>): AsyncGenerator<Buffer> {
  let parts: Buffer[] = []
  let size = 0
  for await (const part of bytes) {
    parts.push(Buffer.from(part))
    size += part.length
    if (size < rangeBytes) continue
    yield Buffer.concat(parts)
    parts = []
    size = 0
  }
  if (size) yield Buffer.concat(parts)
}
