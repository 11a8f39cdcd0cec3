// `up` from a random mixture of containers, as people's machines have them: without a fault it ends
// ready at the first call, with one it names it.
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { waitUntil } from '../../until.ts'
import { smallProject, removeAll } from '../project.ts'

const test = suite('mixtures')
const stack = smallProject(import.meta.dirname, 'mixture')
stack.run(['env'])
const services = ['db', 'migrate', 'web', 'worker'] as const
const seeds = Array.from(
  { length: 6 * Number(process.env.KGC_SOAK || 1) },
  (_, i) => i + Number(process.env.KGC_SEED || 1),
)
const argv = [
  'compose',
  '-p',
  stack.project,
  '-f',
  join(stack.docker, 'docker-compose.yml'),
  '-f',
  join(stack.docker, 'docker-compose.dev.yml'),
]

/** Bare Compose, with such variables; what it says does not matter: a mixture is what it leaves. */
const compose = (words: string[], env: Record<string, string> = {}) =>
  spawnSync('docker', [...argv, ...words], {
    env: { ...process.env, ...env },
    stdio: 'ignore',
    timeout: 180_000,
  })
const docker = (...words: string[]) => spawnSync('docker', words, { stdio: 'ignore' })
const status = (id: string) =>
  id
    ? stack.engine(
        'inspect',
        '--format',
        '{{.State.Status}} {{with .State.Health}}{{.Status}}{{end}}',
        id,
      )
    : ''
const sql = (query: string) =>
  stack.engine('exec', stack.container('db'), 'psql', '-qtAU', 'app', 'app', '-c', query)

/** Numbers that look random, the same for the same seed (mulberry32). */
function random(seed: number): (below: number) => number {
  return below => {
    seed = (seed + 0x6d2b79f5) | 0
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * below)
  }
}

/** What may have happened to a service's container. */
const happenings: Record<string, (service: string, id: string) => unknown> = {
  nothing: () => undefined,
  exited: (_, id) => docker('kill', id),
  missing: (_, id) => docker('rm', '-f', id),
  paused: (_, id) => docker('pause', id),
  created: (service, id) => {
    docker('rm', '-f', id)
    return compose(['create', '--no-build', service])
  },
  older: service =>
    compose(['up', '-d', '--no-build', '--no-deps', service], { [service.toUpperCase()]: 'older' }),
  restarting: () =>
    compose(['up', '-d', '--no-build', '--no-deps', 'worker'], { WORKER_EXIT: '7' }),
  unhealthy: async () => {
    const id = stack.container('web')
    docker('exec', id, 'touch', '/run/ill')
    if (status(id).startsWith('running'))
      await waitUntil('web is ill', 30, () => !status(id).endsWith(' healthy'))
  },
}

/**
 * What interrupts the first start of a database leaves a volume that nobody can start: no mixture
 * of containers. `compose create` of what needs a database may stop and replace it, too.
 */
async function firstStart(): Promise<void> {
  const [id] = stack.container('db').split('\n')
  if (id && status(id).startsWith('running'))
    await waitUntil('the first start is over', 300, () => status(id) === 'running healthy')
}

/**
 * Compose at work on a change of all, killed after so many ms: with its plugin, a process of its
 * own, so that nothing of it starts a container later.
 */
async function halfReplaced(ms: number): Promise<void> {
  const child = spawn('docker', [...argv, 'up', '-d', '--no-build'], {
    env: { ...process.env, DB: 'half', WEB: 'half', WORKER: 'half' },
    stdio: 'ignore',
    detached: true,
  })
  const ended = once(child, 'exit')
  await sleep(ms)
  if (child.pid && child.exitCode === null) process.kill(-child.pid, 'SIGKILL')
  await ended
}

/** Variables that make a fault, and how it is named. */
const faults: [Record<string, string>, RegExp][] = [
  [{ MIGRATE_EXIT: '3' }, /WHY\s+migrate: ended: exit 3/],
  [{ WEB_ILL: '1' }, /WHY\s+web: unhealthy: no pulse/],
  [{ WORKER_EXIT: '9' }, /WHY\s+worker: crash loop: exit 9/],
]

let rows = 0
// one that failed leaves nothing to the next
let whole = false
for (const seed of seeds)
  test(`mixture ${seed}`, async () => {
    const pick = random(seed)
    const names = Object.keys(happenings)
    const done = services.map(service => [service, names[pick(names.length)]!] as const)
    const fresh = pick(6) === 0 || !whole
    whole = false
    if (fresh) {
      removeAll(stack.project)
      rows = 0
    }
    const half = pick(3) === 0 ? 200 + pick(4000) : 0
    const fault = pick(3) === 0 ? faults[pick(faults.length)] : undefined
    for (const [service, happening] of done) {
      await happenings[happening]!(service, stack.container(service).split('\n')[0]!)
      if (fresh) await firstStart()
    }
    if (half) await halfReplaced(half)
    if (fresh) await firstStart()

    const { code, stderr } = stack.run(['up'], { env: fault?.[0] ?? {} })
    const words = `${done.join(' ')}${half ? `, Compose killed after ${half} ms` : ''}\n${stderr}`
    if (fault) {
      assert.is(code, 6, words)
      assert.match(stderr, fault[1], words)
      whole = true
      return
    }
    assert.is(code, 0, words)
    for (const service of ['db', 'web', 'worker'])
      assert.is(status(stack.container(service)), 'running healthy', `${service}: ${words}`)
    assert.is(sql('SELECT count(*) FROM kept'), String(rows), words)
    sql(`INSERT INTO kept VALUES (${seed})`)
    rows++
    whole = true
  })

test.run()
