// The Lease behind the deploy lock: how it is read, judged, described and written.
import { isProcessAlive, readMachineId } from '../actor.ts'
import {
  describeApiError,
  isApiSuccess,
  requestApi,
  requireApiSuccess,
} from '../../kubernetes/api.ts'
import { kubectlArgv } from '../../kubernetes/kubectl.ts'
import type { Lease } from '../../kubernetes/objects.ts'
import { resourcePath } from '../../kubernetes/resources.ts'
import { Failure, exit } from '../../errors.ts'
import type { Environment } from '../../kubernetes/environment.ts'

const leaseName = 'kgc-deploy'
const leaseResource = 'coordination.k8s.io/v1/leases'

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
  const what = `${annotations['kgc.hu/what'] ?? 'a change'}, step ${annotations['kgc.hu/phase']}, renewed ${renewTime.slice(11, 19)}`
  return `held by ${holderIdentity.replace(/ [^ ]+$/, '')} ${since} (${what})${annotations['kgc.hu/run'] ? `: ${annotations['kgc.hu/run']}` : ''}`
}

/** The lease at a moment of the cluster's clock: two machines that deploy may not agree on the time. */
export interface LeaseReading {
  /** Undefined when there is none yet. */
  lease: Lease | undefined
  /** ms */
  now: number
}

/** Reads the lease. Throws Failure (refused). */
export async function fetchLease(environment: Environment): Promise<LeaseReading> {
  const what = 'Read the lock'
  const answer = await requestApi(
    environment,
    resourcePath(environment, leaseResource, leaseName),
    { what },
  )
  const lease =
    answer.status === 404 ? undefined : requireApiSuccess<Lease>(environment, answer, what)
  return { lease, now: answer.time }
}

/** Whether this lease is in the way of a change. */
export const isLockHeld = ({ lease, now }: LeaseReading): boolean =>
  leaseState(lease, now, hasProcessEnded) === 'held'

/** Which writing of the lease it is; '' when there is none yet. */
export const resourceVersionOf = (lease: Lease | undefined): string =>
  lease?.metadata.resourceVersion ?? ''

/** Whether a process has ended, as far as this machine can tell. */
export const hasProcessEnded = (where: string, pid: number) =>
  where === readMachineId() && !isProcessAlive(pid)

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
  const isThere = 'resourceVersion' in lease.metadata
  const answer = await requestApi(
    environment,
    resourcePath(environment, leaseResource, isThere ? leaseName : undefined),
    { method: isThere ? 'PUT' : 'POST', body: lease, timeout: 10_000 },
  )
  if (isApiSuccess(answer)) return JSON.parse(answer.text) as Lease
  if ([404, 409].includes(answer.status)) return undefined
  throw new Failure(exit.refused, 'Write the lock', describeApiError(answer), {
    next: `${kubectlArgv(environment).join(' ')} auth can-i update leases`,
  })
}

/** The refusal that names the holder. */
export const createLockedFailure = (environment: Environment, lease: Lease) =>
  new Failure(exit.locked, `Lock ${environment.name}`, describeLease(lease), {
    next: `npx zx scripts/deploy.ts ${environment.name} --unlock --reason "…", if no deploy is running`,
  })
