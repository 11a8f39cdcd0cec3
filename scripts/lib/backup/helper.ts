// What is done in a workplace: scripts run, files of its scratch volume read and written.
import { exit, Failure } from '../errors.ts'
import { run } from '../run.ts'
import { runBytes } from '../run/bytes.ts'
import { helperWords, type Helper, type Workplace } from './compose/workplace.ts'

/** The first line in which a program says why it fails; undefined when none does. */
export const findCause = (stderr: string): string | undefined =>
  stderr.split('\n').find(line => /\b(error|fatal):|^no room|^not in the archive/i.test(line))

/** Runs a script of this folder in a container. Out: what it printed. Throws Failure (5) with the end of its stderr. */
export async function runHelper(place: Workplace, what: string, helper: Helper): Promise<string> {
  const [name = '', ...words] = helper.script
  const options = helperWords(place, { ...helper, script: [`/kgc/${name}`, ...words] })
  const command = ['docker', 'run', ...options]
  const { code, stdout, stderr } = await run(command, { nothrow: true })
  if (code === 0) return stdout
  throw new Failure(exit.rolledBack, what, findCause(stderr) ?? `${name} ended with ${code}`, {
    evidence: stderr.trim().split('\n').slice(-12).join('\n'),
  })
}

/** A file in the scratch volume, or what is to be there. */
export interface ScratchFile {
  /** Below /backup. */
  name: string
  sha256: string
  bytes: number
}

/** What measure.sh has printed. Throws Failure (5) for a list without its end. */
export function parseMeasured(what: string, text: string): ScratchFile[] {
  const lines = text.trim().split('\n')
  if (lines.pop() !== 'end')
    throw new Failure(exit.rolledBack, what, 'its answer was cut short', {
      next: 'the same command again',
    })
  return lines.map(line => {
    const [sha256 = '', bytes = '', ...name] = line.split(' ')
    return { name: name.join(' '), sha256, bytes: Number(bytes) }
  })
}

const shell = ({ keeper }: Workplace, script: string, name: string, ...options: string[]) => [
  ...['docker', 'exec', ...options, keeper, 'sh', '-c', script, name],
]

/** Lets `read` have a file of the scratch volume as it comes. */
export const readScratch = <T>(
  place: Workplace,
  name: string,
  read: (bytes: NodeJS.ReadableStream) => Promise<T>,
): Promise<T> => runBytes(shell(place, 'exec cat "/backup/$0"', name), `Fetch ${name}`, read)

/**
 * Writes a file of so many bytes into the scratch volume: they are counted there, so nothing waits for the engine to
 * pass on that the input has ended. Out: size and checksum of what is there then.
 */
export async function writeScratch(
  place: Workplace,
  name: string,
  bytes: number,
  write: (input: NodeJS.WritableStream) => Promise<unknown>,
): Promise<ScratchFile> {
  const what = `Copy ${name} to the engine`
  const script = `. /kgc/measure.sh && umask 077 && mkdir -p "/backup/\${0%/*}" && head -c ${bytes} >"/backup/$0" && measure "$0"`
  const said = await runBytes(
    shell(place, script, name, '--interactive'),
    what,
    async output => (await output.setEncoding('utf8').toArray()).join(''),
    write,
  )
  return parseMeasured(what, said)[0]!
}

/** Bytes that are free where the scratch volume is. */
export async function measureFreeSpace(place: Workplace): Promise<number> {
  const { stdout } = await run(shell(place, 'df -Pk /backup', ''), { what: 'Ask for free space' })
  return Number(stdout.trim().split('\n').at(-1)?.split(/\s+/)[3]) * 1024
}
