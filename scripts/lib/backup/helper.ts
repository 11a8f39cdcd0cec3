// Containers that a backup or a restore works in: without a network of their own, with an image
// that the stack has anyway, and with a scratch volume for what passes between them. All carry a
// label, so that a run that was killed leaves nothing behind the next one.
import { join } from 'node:path'
import { exit, Failure } from '../errors.ts'
import { onInterrupt } from '../interrupt.ts'
import { root } from '../repository.ts'
import { run, runBytes } from '../run.ts'

/** Where a backup or a restore works. */
export interface Workplace {
  project: string
  /** The scratch volume, /backup in its containers. */
  volume: string
  /** An image of the stack that has sh, tar and sha256sum. */
  image: string
}

/** A container of the workplace. */
export interface Helper {
  /** Its script in this folder, with its words. */
  script: string[]
  image?: string
  /** The container whose network it shares. */
  network?: string
  /** A volume to be mounted at /volume; `:ro` at its end. */
  volume?: string
  env?: Record<string, string>
}

const label = 'hu.kgc.workplace'
export const scriptMounts = ['--volume', `${join(root, 'scripts/lib/backup')}:/kgc:ro`]
/** What reading and writing everybody's files takes. */
const capabilities = ['CHOWN', 'DAC_OVERRIDE', 'DAC_READ_SEARCH', 'FOWNER', 'FSETID']

/** What every container of a workplace is started with. */
export const workplaceOptions = ({ project, volume }: Workplace): string[] => [
  ...['--label', `${label}=${project}`, '--label', `${label}.pid=${process.pid}`],
  ...['--pull', 'never', '--volume', `${volume}:/backup`, ...scriptMounts],
]

function helperCommand(place: Workplace, { network, volume, env = {}, ...one }: Helper): string[] {
  return [
    ...['docker', 'run', '--rm', '--init', '--interactive', '--log-driver', 'none'],
    ...[
      '--env',
      'TMPDIR=/backup',
      '--network',
      network ? `container:${network}` : 'none',
      '--user',
      '0:0',
      '--read-only',
    ],
    ...['--cap-drop', 'ALL', ...capabilities.flatMap(name => ['--cap-add', name])],
    ...workplaceOptions(place),
    ...(volume ? ['--volume', volume.replace(/^([^:]+)/, '$1:/volume')] : []),
    ...Object.entries(env).flatMap(([key, value]) => ['--env', `${key}=${value}`]),
    ...['--entrypoint', 'sh', one.image ?? place.image, ...one.script],
  ]
}

/** The first line in which a program says why it fails; undefined when none does. */
export const findCause = (stderr: string): string | undefined =>
  stderr.split('\n').find(line => /\b(error|fatal):|^no room|^not in the archive/i.test(line))

/** Runs a script of this folder in a container. Out: what it printed. Throws Failure (5) with the end of its stderr. */
export async function runHelper(place: Workplace, what: string, helper: Helper): Promise<string> {
  const [name = '', ...words] = helper.script
  const command = helperCommand(place, { ...helper, script: [`/kgc/${name}`, ...words] })
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

const shell = (place: Workplace, script: string, name: string): string[] =>
  helperCommand(place, { script: ['-c', script, name] })

/** Lets `read` have a file of the scratch volume as it comes. */
export const readScratch = <T>(
  place: Workplace,
  name: string,
  read: (bytes: NodeJS.ReadableStream) => Promise<T>,
): Promise<T> => runBytes(shell(place, 'exec cat "/backup/$0"', name), `Fetch ${name}`, read)

/** Writes a file of the scratch volume. Out: size and checksum of what is there then. */
export async function writeScratch(
  place: Workplace,
  name: string,
  write: (input: NodeJS.WritableStream) => Promise<unknown>,
): Promise<ScratchFile> {
  const what = `Copy ${name} to the engine`
  const script =
    '. /kgc/measure.sh && umask 077 && mkdir -p "/backup/${0%/*}" && cat >"/backup/$0" && measure "$0"'
  const said = await runBytes(
    shell(place, script, name),
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

const lines = async (argv: string[]): Promise<string[]> =>
  (await run(['docker', ...argv], { what: 'Ask the Docker engine' })).stdout
    .split('\n')
    .filter(Boolean)

/** Removes the containers and the scratch volume of a project's workplace. */
async function removeWorkplace(project: string): Promise<void> {
  const mine = ['--filter', `label=${label}=${project}`]
  const ids = await lines(['ps', '-aq', ...mine])
  if (ids.length) await run(['docker', 'rm', '-fv', ...ids], { nothrow: true })
  const volumes = await lines(['volume', 'ls', '-q', ...mine])
  if (volumes.length) await run(['docker', 'volume', 'rm', ...volumes], { nothrow: true })
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return pid !== process.pid
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/**
 * Does `work` in a workplace of its own, which is gone afterwards. What a killed run has left goes
 * first; throws Failure (locked) while another works.
 */
export async function withWorkplace<T>(
  { project, image }: Pick<Workplace, 'project' | 'image'>,
  work: (place: Workplace) => Promise<T>,
): Promise<T> {
  const volume = `${project}_backup-scratch`
  const format = `{{index .Labels "${label}.pid"}}`
  const owner = await run(['docker', 'volume', 'inspect', '--format', format, volume], {
    nothrow: true,
  })
  const pid = Number(owner.stdout.trim())
  if (owner.code === 0 && pid && isAlive(pid))
    throw new Failure(
      exit.locked,
      `Work on ${project}`,
      `another backup or restore works on it (process ${pid})`,
      { next: 'wait until it has ended, then the same command again' },
    )
  await removeWorkplace(project)
  const labels = ['--label', `${label}=${project}`, '--label', `${label}.pid=${process.pid}`]
  const forget = onInterrupt(() => removeWorkplace(project))
  try {
    await run(['docker', 'volume', 'create', ...labels, volume], { what: 'Make a scratch volume' })
    return await work({ project, image, volume })
  } finally {
    forget()
    await removeWorkplace(project)
  }
}
