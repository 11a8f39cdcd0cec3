// A Docker engine in namespaces of its own (processes, network, mounts), so that a test can kill it
// as a power cut would.
import { execFileSync, spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { waitUntil } from '../../until.ts'

export interface PrivateEngine {
  /** DOCKER_HOST */
  host: string
  start: () => Promise<void>
  /** SIGTERM: containers are stopped; SIGKILL: everything in the namespace is gone at once. */
  stop: (signal: 'SIGTERM' | 'SIGKILL') => Promise<void>
  remove: () => Promise<void>
}

/** What makes a command root's: nothing where this is root already. */
const asRoot = process.getuid!() === 0 ? [] : ['sudo', '-n']
const root = (...words: string[]) =>
  (([command, ...argv]) => execFileSync(command!, argv))([...asRoot, ...words])

export function privateEngine(): PrivateEngine {
  const folder = mkdtempSync(join(tmpdir(), 'kgc-engine-'))
  const host = `unix://${folder}/docker.sock`
  const log = join(folder, 'log')
  let shell: ChildProcess | undefined
  const mark = join(folder, 'pid')
  const daemon = `dockerd --host ${host} --group ${process.getgid!()} --data-root ${folder}/data --exec-root /run/docker --pidfile /run/dockerd.pid`
  const inside = `mount -t tmpfs tmpfs /run && ip link set lo up && exec ${daemon}`
  // sudo may have processes of its own in between: unshare says itself which one it is
  const outside = `echo $$ > ${mark} && exec unshare --mount --net --pid --fork --mount-proc --kill-child sh -c '${inside}'`
  const answers = () =>
    spawnSync('docker', ['--host', host, 'version'], { stdio: 'ignore' }).status === 0

  const engine: PrivateEngine = {
    host,
    async start() {
      const file = openSync(log, 'a')
      const [command, ...argv] = [...asRoot, 'sh', '-c', outside]
      shell = spawn(command!, argv, { stdio: ['ignore', file, file] })
      closeSync(file)
      await waitUntil('the engine answers', 40, answers).catch(error => {
        throw new Error(
          `${(error as Error).message}\n${readFileSync(log, 'utf8').split('\n').slice(-10).join('\n')}`,
        )
      })
    },
    async stop(signal) {
      const child = shell
      if (!child?.pid) return
      shell = undefined
      const gone = new Promise(done => child.once('exit', done))
      // unshare's child is the first process of the namespace: with it all others end
      const [first] = execFileSync(
        'ps',
        ['-o', 'pid=', '--ppid', readFileSync(mark, 'utf8').trim()],
        { encoding: 'utf8' },
      )
        .trim()
        .split(/\s+/)
      root('kill', `-${signal.slice(3)}`, first!)
      await gone
    },
    async remove() {
      await engine.stop('SIGKILL')
      root('rm', '-rf', folder)
    },
  }
  return engine
}
