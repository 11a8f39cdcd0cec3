// The Jobs and the ConfigMap of a backup in an environment: they carry a label, so that a run that was
// killed leaves nothing behind the next one.
import type { OwnerReference } from 'kubernetes-types/meta/v1.js'
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { acquireLock, type Lock } from '../../deploy/lock/lock.ts'
import { exit, Failure } from '../../errors.ts'
import { onInterrupt } from '../../interrupt.ts'
import { requestApi } from '../../kubernetes/api.ts'
import type { Environment } from '../../kubernetes/environment.ts'
import type { Manifest } from '../../kubernetes/objects.ts'
import { deleteObject, listObjects, resourcePath } from '../../kubernetes/resources.ts'
import { step, warn } from '../../report.ts'
import { constantDelays, pollUntil } from '../../retry.ts'
import { root } from '../../repository.ts'
import { backupLabel, scriptsName } from './job.ts'
import { createObject, startPlace, type PodPlace } from './place.ts'

const scriptsFolder = join(root, 'scripts/lib/backup')

/**
 * Removes what an earlier run has left, and brings the scripts. Out: they, as the owner of what is to go with
 * them by the cluster itself, and the call that removes them again.
 */
async function openWorkplace(
  environment: Environment,
): Promise<{ owner: OwnerReference; close: () => Promise<void> }> {
  await removeWorkplace(environment)
  const names = readdirSync(scriptsFolder).filter(name => /\.(sh|sql)$/.test(name))
  const data = Object.fromEntries(
    names.map(name => [name, readFileSync(join(scriptsFolder, name), 'utf8')]),
  )
  const kind = { apiVersion: 'v1', kind: 'ConfigMap' }
  const { metadata } = await createObject(environment, 'v1/configmaps', {
    ...kind,
    ...{ metadata: { name: scriptsName, labels: { [backupLabel]: 'yes' } }, data },
  })
  const forget = onInterrupt(() => abandonWorkplace(environment))
  const close = async () => {
    forget()
    await removeWorkplace(environment)
  }
  return { owner: { ...kind, name: scriptsName, uid: metadata.uid! }, close }
}

async function removeWorkplace(environment: Environment): Promise<void> {
  await removeJobs(environment, await listOwnJobs(environment))
  await deleteObject(environment, 'v1/configmaps', scriptsName)
}

/** The same within the two seconds of an interrupt: nobody waits until the pods have ended. */
async function abandonWorkplace(environment: Environment): Promise<void> {
  const jobs = async () => {
    for (const name of await listOwnJobs(environment)) await deleteJob(environment, name)
  }
  await Promise.all([jobs(), deleteObject(environment, 'v1/configmaps', scriptsName)])
}

async function listOwnJobs(environment: Environment): Promise<string[]> {
  const jobs = await listObjects(environment, ['batch/v1/jobs'])
  return jobs.flatMap(({ metadata: { name, labels } }) => (labels?.[backupLabel] ? [name] : []))
}

/** Removes a Job, and its pods before it; nobody waits for them. */
export const deleteJob = (environment: Environment, name: string): Promise<unknown> => {
  const path = resourcePath(environment, 'batch/v1/jobs', name)
  return requestApi(environment, `${path}?propagationPolicy=Foreground`, { method: 'DELETE' })
}

/** Removes Jobs with their pods and waits until both are gone. */
async function removeJobs(environment: Environment, names: string[]): Promise<void> {
  for (const name of names) await deleteJob(environment, name)
  const left = await pollUntil(
    async () => {
      const jobs = await listObjects(environment, ['batch/v1/jobs'])
      return jobs.map(({ metadata }) => metadata.name).filter(name => names.includes(name))
    },
    left => !left.length,
    constantDelays(300, 60_000),
  )
  if (left.length)
    throw new Failure(exit.rolledBack, 'Remove Jobs', `${left.join(', ')}: not gone in a minute`)
}

/** Lets `work` have a Job as its place, which is gone afterwards. */
export async function withJob<T>(
  environment: Environment,
  job: Manifest,
  work: (place: PodPlace) => Promise<T>,
): Promise<T> {
  try {
    return await work(await startPlace(environment, job))
  } finally {
    // what stays goes before the next one
    await removeJobs(environment, [job.metadata.name]).catch((error: Error) => warn(error.message))
  }
}

/** Does work with Jobs that go again. */
export async function withJobsRemoved<T>(
  environment: Environment,
  work: (owner: OwnerReference) => Promise<T>,
): Promise<T> {
  const { owner, close } = await openWorkplace(environment)
  try {
    return await work(owner)
  } finally {
    await close().catch((error: Error) => warn(error.message))
  }
}

/** Does work in an environment that no deploy changes meanwhile. */
export async function underLock<T>(
  environment: Environment,
  what: string,
  work: (lock: Lock) => Promise<T>,
): Promise<T> {
  const lock = await step('Lock', () => acquireLock(environment, what))
  try {
    await lock.recordPhase(what)
    return await work(lock)
  } finally {
    await lock.release()
  }
}

/** The same with Jobs that go again. */
export const whileLocked = <T>(
  environment: Environment,
  what: string,
  work: (lock: Lock) => Promise<T>,
): Promise<T> =>
  underLock(environment, what, lock => withJobsRemoved(environment, () => work(lock)))
