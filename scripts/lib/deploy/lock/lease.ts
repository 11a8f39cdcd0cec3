// The Lease that the deploy lock is: how it is read, judged, described and written.
import { isProcessAlive, readMachineId } from '../actor.ts'
import { kubectl, kubectlArgv, lastOutputLine } from '../../kubernetes/kubectl.ts'
import type { Lease } from '../../kubernetes/objects.ts'
import { Failure, exit } from '../../errors.ts'
import type { Environment } from '../../kubernetes/environment.ts'

const leaseName = 'kgc-deploy'

/**
 * Why a lease binds nobody, or that it does. `now` is the cluster's clock; `gone` knows whether a
 * process of this machine has ended.
 */
export function leaseState(
  lease: Lease | undefined,
  now: number,
  gone: (machine: string, pid: number) => boolean,
): 'free' | 'held' | 'expired' | 'dead' {
  if (!lease?.spec?.holderIdentity) return 'free'
  const { leaseDurationSeconds: ttl, renewTime } = lease.spec
  if (ttl === undefined) return 'held' // by hand
  if (now > Date.parse(renewTime ?? '') + ttl * 1000) return 'expired'
  const { 'kgc.hu/machine': where, 'kgc.hu/pid': pid } = lease.metadata.annotations ?? {}
  return where && gone(where, Number(pid)) ? 'dead' : 'held'
}

/** Who holds the lease, in words. */
export function describeLease(lease: Lease): string {
  const { annotations = {} } = lease.metadata
  const { holderIdentity = '', acquireTime = '', renewTime = '' } = lease.spec
  const since = `since ${acquireTime.slice(0, 19)}Z`
  if (lease.spec.leaseDurationSeconds === undefined)
    return `held by hand by ${annotations['kgc.hu/who']} ${since}: ${annotations['kgc.hu/reason']}`
  const what = `${annotations['kgc.hu/what'] ?? 'a change'}, phase ${annotations['kgc.hu/phase']}, renewed ${renewTime.slice(11, 19)}`
  return `held by ${holderIdentity.replace(/ [^ ]+$/, '')} ${since} (${what})${annotations['kgc.hu/run'] ? `: ${annotations['kgc.hu/run']}` : ''}`
}

/** The lease as it is; undefined when there is none yet. */
export async function fetchLease(environment: Environment): Promise<Lease | undefined> {
  const { stdout } = await kubectl(
    environment,
    ['get', 'lease', leaseName, '--ignore-not-found', '--output', 'json'],
    { what: 'Read the lock' },
  )
  return stdout ? (JSON.parse(stdout) as Lease) : undefined
}

/** Whether this lease is in the way of a change. */
export async function isLockHeld(
  environment: Environment,
  lease: Lease | undefined,
): Promise<boolean> {
  return (
    Boolean(lease?.spec.holderIdentity) &&
    leaseState(lease, await fetchClusterTime(environment), hasProcessEnded) === 'held'
  )
}

/** Which writing of the lease it is; '' when there is none yet. */
export const resourceVersionOf = (lease: Lease | undefined): string =>
  lease?.metadata.resourceVersion ?? ''

/** Whether a process has ended, as far as this machine can tell. */
export const hasProcessEnded = (where: string, pid: number) =>
  where === readMachineId() && !isProcessAlive(pid)

/** The cluster's clock: two machines that deploy may not agree on the time. */
export async function fetchClusterTime(environment: Environment): Promise<number> {
  const { stdout } = await kubectl(
    environment,
    [
      'create',
      'configmap',
      'kgc-clock',
      '--dry-run=server',
      '--output',
      'jsonpath={.metadata.creationTimestamp}',
    ],
    {
      what: "Read the cluster's clock",
    },
  )
  return Date.parse(stdout)
}

/** A time as a Lease has it. */
export const formatMicroTime = (ms: number) => new Date(ms).toISOString().replace('Z', '000Z')

/** What is written: the lease as it was before, held otherwise. */
export function createLease(
  environment: Environment,
  before: Lease | undefined,
  spec: Lease['spec'],
  annotations: Record<string, string | undefined>,
): Lease {
  const { resourceVersion, annotations: old } = before?.metadata ?? {}
  const kept = old?.['kgc.hu/ended'] ? { 'kgc.hu/ended': old['kgc.hu/ended'] } : {}
  const metadata = {
    name: leaseName,
    namespace: environment.namespace,
    annotations: { ...kept, ...annotations } as Record<string, string>,
    ...(resourceVersion ? { resourceVersion } : {}),
  }
  return { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata, spec }
}

/** Writes the lease if nobody has written it since; undefined when somebody has. */
export async function writeLease(
  environment: Environment,
  lease: Lease,
): Promise<Lease | undefined> {
  const verb = 'resourceVersion' in lease.metadata ? 'replace' : 'create'
  const argv = [verb, '--filename', '-', '--output', 'json', '--request-timeout', '10s']
  const output = await kubectl(environment, argv, {
    input: JSON.stringify(lease),
    nothrow: true,
    timeout: 12_000,
  })
  if (output.code === 0) return JSON.parse(output.stdout) as Lease
  if (/\((Conflict|AlreadyExists|NotFound)\)/.test(output.stderr)) return undefined
  throw new Failure(exit.refused, 'Write the lock', lastOutputLine(output), {
    next: `${kubectlArgv(environment).join(' ')} auth can-i update leases`,
  })
}

/** The refusal that names the holder. */
export const createLockedFailure = (environment: Environment, lease: Lease) =>
  new Failure(exit.locked, `Lock ${environment.name}`, describeLease(lease), {
    next: `npx zx scripts/deploy.ts ${environment.name} --unlock --reason "…", if no deploy is running`,
  })
