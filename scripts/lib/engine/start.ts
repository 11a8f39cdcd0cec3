// Starts the Docker engine and waits until it answers.
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { Failure, exit } from '../errors.ts'
import type { Machine } from './engine.ts'
import { createHeartbeat } from '../progress.ts'
import { color, say } from '../report.ts'
import { constantDelays, pollUntil } from '../retry.ts'
import { run } from '../run.ts'
import { spawnDetached } from '../run/companion.ts'

/**
 * An engine: how it is started by hand, where it keeps its marks, how to ask whether it answers.
 */
interface Daemon {
  argv: string[]
  /** Files with the process ids of the engine and of what it starts, by the command's name. */
  pids: { file: string; command: string }[]
  log: string
  ask: string[]
  /** ms */
  timeout: number
}

const engine: Daemon = {
  argv: ['dockerd'],
  pids: [
    { file: '/var/run/docker.pid', command: 'dockerd' },
    { file: '/var/run/docker/containerd/containerd.pid', command: 'containerd' },
  ],
  log: '/var/log/dockerd.log',
  ask: ['docker', 'version', '--format', '{{.Server.Version}}'],
  timeout: 60_000,
}

/**
 * Starts the engine the way this machine starts services. Throws Failure with the end of the log
 * when it does not come up.
 */
export async function startEngine(init: Machine['init'], daemon = engine): Promise<void> {
  for (const { file, command } of daemon.pids) removeStalePidFile(file, command)
  if (init === 'systemd') {
    await run(['systemctl', 'enable', '--now', 'docker'], { what: 'Start the Docker engine' })
    if (await answers(daemon, () => true)) return
    throw new Failure(
      exit.timeout,
      'Start the Docker engine',
      `no answer in ${daemon.timeout / 1000} s`,
      { next: 'journalctl -u docker -n 50' },
    )
  }
  if (init === 'script') {
    // Debian's script raises limits, which not every virtual machine may: then nothing was started
    const { code } = await run(['service', 'docker', 'start'], { nothrow: true })
    if (await answers(daemon, () => code === 0 && running(daemon))) return
    say(
      color.yellow('  `service docker start` did not start the engine; starting dockerd directly'),
    )
  }
  await startDaemon(daemon)
}

/** Starts the engine as a process of its own that outlives the script. */
export async function startDaemon(daemon: Daemon): Promise<void> {
  const pid = spawnDetached(daemon.argv, daemon.log)
  if (await answers(daemon, () => alive(pid)))
    return say(
      color.dim(
        `  dockerd runs as process ${pid}; its log is ${daemon.log}. After a reboot only \`make bootstrap\` starts it.`,
      ),
    )
  const lived = alive(pid)
  const lines = existsSync(daemon.log) ? readFileSync(daemon.log, 'utf8').trimEnd().split('\n') : []
  const evidence = lines
    .filter(line => !/level=(debug|info)|module=grpc/.test(line))
    .slice(-10)
    .join('\n')
  const why = lived
    ? `no answer in ${daemon.timeout / 1000} s`
    : (lines.findLast(line => line.startsWith('failed to start')) ?? `${daemon.argv[0]} ended`)
  throw new Failure(lived ? exit.timeout : exit.broken, 'Start the Docker engine', why, {
    evidence,
    next: `tail -n 50 ${daemon.log}`,
  })
}

/** ms after which an engine of which no process is seen is dead. */
const deadAfterMs = 3_000

/** Waits until the engine answers; false when it is dead (seen so for 3 s) or the time is over. */
async function answers(daemon: Daemon, lives: () => boolean): Promise<boolean> {
  const start = Date.now()
  let seen = start
  const beat = createHeartbeat(start)
  const ask = async () => {
    if ((await run(daemon.ask, { nothrow: true, timeout: 5_000 })).code === 0) return 'up'
    if (lives()) seen = Date.now()
    if (Date.now() - seen > deadAfterMs) return 'dead'
    beat(() => 'waiting for the engine to answer')
    return 'silent'
  }
  const delays = constantDelays(300, daemon.timeout)
  return (await pollUntil(ask, answer => answer !== 'silent', delays)) === 'up'
}

const running = ({ pids }: Daemon): boolean =>
  pids.slice(0, 1).every(({ file, command }) => nameOf(file) === command)

/**
 * Removes a file with the process id of an engine that was killed: dockerd refuses to start while
 * any process has that id, and takes any process with the other one for its containerd.
 */
export function removeStalePidFile(file: string, command: string): void {
  if (!existsSync(file) || nameOf(file) === command) return
  say(color.dim(`  ${file} was left by an engine that was killed: removed`))
  rmSync(file, { force: true })
}

/** The name of the process whose id is in a file; '' when there is none. */
function nameOf(file: string): string {
  try {
    return readFileSync(`/proc/${Number(readFileSync(file, 'utf8'))}/comm`, 'utf8').trim()
  } catch {
    return ''
  }
}

function alive(pid: number): boolean {
  try {
    return pid > 0 && process.kill(pid, 0)
  } catch {
    return false
  }
}
