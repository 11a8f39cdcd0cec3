// One deploy at a time: a Lease in the environment's namespace that says who holds it, since when and in which phase.
import { createHash, randomUUID } from 'node:crypto'
import { readFileSync, readlinkSync } from 'node:fs'
import { hostname, userInfo } from 'node:os'
import { kubectl, kubectlArgv, lastLine, type Manifest, type Place } from './cluster.ts'
import { Failure, exit, type ExitCode } from './errors.ts'
import { say } from './report.ts'
import { onInterrupt } from './run.ts'

export const leaseName = 'kgc-deploy'
const seconds = { ttl: 60, renew: 15 }

export interface Lock {
  /** Writes into the lease what is being done; throws Failure (locked) when the lock is lost. */
  phase: (name: string) => Promise<void>
  /** Why the lock is not held any more; undefined while it is. */
  lost: () => Failure | undefined
  release: () => Promise<void>
}

/** Who is at work: the actor of a workflow or the user of this machine. */
export const actor = (): string => process.env.GITHUB_ACTOR || `${userInfo().username}@${hostname()}`

/** The address of the workflow's run; undefined outside of one. */
export function runUrl(): string | undefined {
  const { GITHUB_SERVER_URL: server, GITHUB_REPOSITORY: repository, GITHUB_RUN_ID: id } = process.env
  return id ? `${server}/${repository}/actions/runs/${id}` : undefined
}

/** Names this machine as far as its process ids reach: its boot and the namespace of its processes; '' where Linux does not tell. */
function machine(): string {
  try {
    const parts = [readFileSync('/proc/sys/kernel/random/boot_id', 'utf8'), readlinkSync('/proc/self/ns/pid')]
    return createHash('sha256').update(parts.join()).digest('hex').slice(0, 16)
  } catch {
    return ''
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** Why a lease binds nobody, or that it does. `now` is the cluster's clock; `gone` knows whether a process of this machine has ended. */
export function judge(lease: Manifest | undefined, now: number, gone: (machine: string, pid: number) => boolean): 'free' | 'held' | 'expired' | 'dead' {
  if (!lease?.spec?.holderIdentity) return 'free'
  const { leaseDurationSeconds: ttl, renewTime } = lease.spec
  if (ttl === undefined) return 'held' // by hand
  if (now > Date.parse(renewTime) + ttl * 1000) return 'expired'
  const { 'kgc.hu/machine': where, 'kgc.hu/pid': pid } = lease.metadata.annotations ?? {}
  return where && gone(where, Number(pid)) ? 'dead' : 'held'
}

/** Who holds the lease, in words. */
export function describe(lease: Manifest): string {
  const { annotations = {} } = lease.metadata
  const { holderIdentity, acquireTime, renewTime, leaseDurationSeconds } = lease.spec
  const since = `since ${acquireTime.slice(0, 19)}Z`
  if (leaseDurationSeconds === undefined) return `held by hand by ${annotations['kgc.hu/who']} ${since}: ${annotations['kgc.hu/reason']}`
  const what = `${annotations['kgc.hu/what'] ?? 'a change'}, phase ${annotations['kgc.hu/phase']}, renewed ${renewTime.slice(11, 19)}`
  return `held by ${holderIdentity.replace(/ [^ ]+$/, '')} ${since} (${what})${annotations['kgc.hu/run'] ? `: ${annotations['kgc.hu/run']}` : ''}`
}

/** The lease as it is; undefined when there is none yet. */
export async function current(place: Place): Promise<Manifest | undefined> {
  const { stdout } = await kubectl(place, ['get', 'lease', leaseName, '--ignore-not-found', '--output', 'json'], { what: 'Read the lock' })
  return stdout ? (JSON.parse(stdout) as Manifest) : undefined
}

/** The lease when it is in the way of a change; undefined when it is not. */
export async function inTheWay(place: Place): Promise<Manifest | undefined> {
  const lease = await current(place)
  if (!lease?.spec.holderIdentity) return undefined
  return judge(lease, await clock(place), isGone) === 'held' ? lease : undefined
}

const isGone = (where: string, pid: number) => where === machine() && !isAlive(pid)

/** The cluster's clock: two machines that deploy may not agree on the time. */
async function clock(place: Place): Promise<number> {
  const { stdout } = await kubectl(place, ['create', 'configmap', 'kgc-clock', '--dry-run=server', '--output', 'jsonpath={.metadata.creationTimestamp}'], {
    what: "Read the cluster's clock",
  })
  return Date.parse(stdout)
}

const microTime = (ms: number) => new Date(ms).toISOString().replace('Z', '000Z')

function leaseOf(place: Place, before: Manifest | undefined, spec: object, annotations: Record<string, string | undefined>): Manifest {
  const { resourceVersion, annotations: old } = (before?.metadata ?? {}) as Record<string, any>
  const kept = old?.['kgc.hu/ended'] ? { 'kgc.hu/ended': old['kgc.hu/ended'] as string } : {}
  const metadata = {
    name: leaseName,
    namespace: place.namespace,
    annotations: { ...kept, ...annotations } as Record<string, string>,
    ...(resourceVersion ? { resourceVersion } : {}),
  }
  return { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata, spec }
}

/** Writes the lease if nobody has written it since; undefined when somebody has. */
async function write(place: Place, lease: Manifest): Promise<Manifest | undefined> {
  const verb = 'resourceVersion' in lease.metadata ? 'replace' : 'create'
  const argv = [verb, '--filename', '-', '--output', 'json', '--request-timeout', '10s']
  const output = await kubectl(place, argv, { input: JSON.stringify(lease), nothrow: true, timeout: 12_000 })
  if (output.code === 0) return JSON.parse(output.stdout) as Manifest
  if (/\((Conflict|AlreadyExists|NotFound)\)/.test(output.stderr)) return undefined
  throw new Failure(exit.refused, 'Write the lock', lastLine(output), { next: `${kubectlArgv(place).join(' ')} auth can-i update leases` })
}

const locked = (place: Place, lease: Manifest) =>
  new Failure(exit.locked, `Lock ${place.name}`, describe(lease), {
    next: `npx zx scripts/deploy.ts ${place.name} --unlock --reason "…", if nobody is at work`,
  })

/** Takes the lock for `what` (`deploy`, `rollback`). Throws Failure (locked) that names who has it. A lock whose holder is gone is taken over. */
export async function acquire(place: Place, what: string): Promise<Lock> {
  const [before, now] = await Promise.all([current(place), clock(place)])
  const offset = now - Date.now()
  const state = judge(before, now, isGone)
  if (before && state === 'held') throw locked(place, before)
  if (before && state !== 'free')
    say(`  the lock was ${describe(before)}; ${state === 'dead' ? 'its process has ended' : `it has not been renewed for ${seconds.ttl} s`}: taken over`)
  const annotations: Record<string, string | undefined> = {
    'kgc.hu/what': what,
    'kgc.hu/phase': 'lock',
    'kgc.hu/run': runUrl(),
    'kgc.hu/machine': machine() || undefined,
    'kgc.hu/pid': String(process.pid),
  }
  const spec = () => ({
    holderIdentity,
    leaseDurationSeconds: seconds.ttl,
    acquireTime,
    renewTime: microTime(Date.now() + offset),
    leaseTransitions: transitions,
  })
  const holderIdentity = `${actor()} ${randomUUID().slice(0, 8)}`
  const acquireTime = microTime(now)
  const transitions = (before?.spec.leaseTransitions ?? 0) + 1
  const mine = await write(place, leaseOf(place, before, spec(), annotations))
  if (!mine) {
    const other = await current(place)
    throw other?.spec.holderIdentity
      ? locked(place, other)
      : new Failure(exit.locked, `Lock ${place.name}`, 'another was quicker', { next: 'the same command again' })
  }
  return keep(place, mine, annotations, spec)
}

/** Renews a lock until it is released or lost. */
function keep(place: Place, taken: Manifest, annotations: Record<string, string | undefined>, spec: () => object): Lock {
  let lease: Manifest = taken
  let renewed = Date.now()
  let gone: Failure | undefined
  let queue: Promise<unknown> = Promise.resolve()
  const lose = (code: ExitCode, why: string) =>
    void (gone ??= new Failure(code, `Hold the lock of ${place.name}`, why, { next: `npx zx scripts/deploy.ts ${place.name}, once nobody else is at work` }))
  const lost = () => {
    // whoever comes takes it over after its time: by then nothing may be touched any more
    if (!gone && Date.now() - renewed > (seconds.ttl - 8) * 1000)
      lose(exit.timeout, `it could not be renewed for ${Math.round((Date.now() - renewed) / 1000)} s`)
    return gone
  }
  // renewals and phases one after the other: each needs the version that the one before has made
  const next = <T>(work: () => Promise<T>): Promise<T> => {
    const done = queue.then(work)
    queue = done.catch(() => {})
    return done
  }
  const renew = async () => {
    if (lost()) return
    const written = await write(place, leaseOf(place, lease, spec(), annotations))
    if (!written) {
      const other = await current(place)
      // an answer that was lost on its way: the lease is still this one's
      if (other && other.spec.holderIdentity === lease.spec.holderIdentity) return void (lease = other)
      return lose(
        exit.locked,
        other?.spec.holderIdentity ? `it is ${describe(other)}` : `it was unlocked: ${other?.metadata.annotations?.['kgc.hu/ended'] ?? 'the lease is gone'}`,
      )
    }
    lease = written
    renewed = Date.now()
  }
  const timer = setInterval(
    () => void next(renew).catch(error => say(`  the lock could not be renewed: ${(error as Failure).why ?? error}`)),
    seconds.renew * 1000,
  )
  timer.unref()
  const release = async () => {
    clearInterval(timer)
    forget()
    // an interrupted renewal never ends: its process has been
    await Promise.race([queue, new Promise(done => setTimeout(done, 500))])
    const now = await current(place)
    if (!now || now.spec.holderIdentity !== lease.spec.holderIdentity) return
    await write(
      place,
      leaseOf(
        place,
        now,
        { leaseTransitions: now.spec.leaseTransitions },
        { 'kgc.hu/ended': `released by ${lease.spec.holderIdentity} in phase ${annotations['kgc.hu/phase']}` },
      ),
    )
  }
  const forget = onInterrupt(release)
  const phase = async (name: string) => {
    annotations['kgc.hu/phase'] = name
    await next(renew).catch(error => say(`  the lock could not be renewed: ${(error as Failure).why ?? error}`))
    if (lost()) throw gone
  }
  return { phase, lost, release }
}

/** Holds the lock by hand, for as long as it takes. Throws Failure (locked) when another has it. */
export async function hold(place: Place, reason: string): Promise<string> {
  const [before, now] = await Promise.all([current(place), clock(place)])
  if (before && judge(before, now, isGone) === 'held') throw locked(place, before)
  const spec = {
    holderIdentity: `${actor()} ${randomUUID().slice(0, 8)}`,
    acquireTime: microTime(now),
    renewTime: microTime(now),
    leaseTransitions: (before?.spec.leaseTransitions ?? 0) + 1,
  }
  const mine = await write(place, leaseOf(place, before, spec, { 'kgc.hu/who': actor(), 'kgc.hu/reason': reason, 'kgc.hu/run': runUrl() }))
  if (!mine) throw new Failure(exit.locked, `Lock ${place.name}`, 'another was quicker', { next: 'the same command again' })
  return describe(mine)
}

/** Ends whatever lock there is; who did it and why stays in the lease. Returns what it was. */
export async function unlock(place: Place, reason: string): Promise<string> {
  const before = await current(place)
  if (!before?.spec.holderIdentity) return 'nobody held it'
  const ended = `unlocked by ${actor()} at ${new Date().toISOString().slice(0, 19)}Z: ${reason} (it was ${describe(before)})`
  if (!(await write(place, leaseOf(place, before, { leaseTransitions: before.spec.leaseTransitions }, { 'kgc.hu/ended': ended }))))
    throw new Failure(exit.locked, `Unlock ${place.name}`, 'it changed at this moment', { next: 'the same command again' })
  return `it was ${describe(before)}`
}
