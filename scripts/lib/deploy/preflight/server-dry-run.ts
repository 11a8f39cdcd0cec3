// Sends a change to the API server as a dry run: the server checks all of it and changes nothing.
import { isDeepStrictEqual } from 'node:util'
import { describeApiError, isApiSuccess, requestApi } from '../../kubernetes/api.ts'
import type { Environment } from '../../kubernetes/environment.ts'
import { resourceId, type Manifest } from '../../kubernetes/objects.ts'
import { kindKeyOf, resourcePath, type KnownResources } from '../../kubernetes/resources.ts'
import type { ManifestChanges } from '../apply/order.ts'
import { warn } from '../../report.ts'
import { explainServerError, isFreedByReplacement } from './manifest-errors.ts'
import type { PreflightProblems } from './problems.ts'

/** ms: a machine under load takes its time for what a person waits for once. */
const dryRunTimeoutMs = 180_000

/**
 * What the change would do to what is `live`, as the server says after all its checks; each refusal
 * of its in words. Jobs are only checked: one that is there is replaced, not changed.
 */
export async function runServerDryRun(
  environment: Environment,
  all: Manifest[],
  live: Manifest[],
  resources: KnownResources,
  refusals: PreflightProblems,
): Promise<ManifestChanges> {
  const there = new Map(live.map(one => [resourceId(one), one]))
  const changes: ManifestChanges = { created: [], changed: [] }
  const tries = all.map(async one => ({ one, tried: await tryObject(environment, one, resources) }))
  for (const { one, tried } of await Promise.all(tries)) {
    const now = there.get(resourceId(one))
    if (typeof tried === 'string') {
      if (isUntriable(tried)) {
        warn(`${resourceId(one)} could not be tried: ${explainServerError(tried)}`)
        if (one.kind !== 'Job') (now ? changes.changed : changes.created).push(resourceId(one))
      } else if (!isFreedByReplacement(tried, live))
        refusals.add(explainServerError(tried, one, now))
    } else if (one.kind === 'Job') continue
    else if (!now) changes.created.push(resourceId(one))
    else if (!isSameObject(now, tried)) changes.changed.push(resourceId(one))
  }
  return changes
}

/** Whether nothing was judged: an admission webhook that takes no dry runs refuses each of them. */
const isUntriable = (error: string): boolean => /does not support dry run/.test(error)

/** What would stand there, or why it may not, as kubectl says it. */
async function tryObject(
  environment: Environment,
  one: Manifest,
  resources: KnownResources,
): Promise<Manifest | string> {
  const resource = resources.get(kindKeyOf(one))
  if (!resource) return `no matches for kind "${one.kind}" in version "${one.apiVersion}"`
  const isJob = one.kind === 'Job'
  const query = `dryRun=All&fieldValidation=Strict&fieldManager=kubectl${isJob ? '' : '&force=true'}`
  const path = resourcePath(environment, resource, isJob ? undefined : one.metadata.name)
  const answer = await requestApi(environment, `${path}?${query}`, {
    body: one,
    timeout: dryRunTimeoutMs,
    ...(isJob
      ? { method: 'POST' }
      : { method: 'PATCH', contentType: 'application/apply-patch+yaml' }),
  })
  if (isApiSuccess(answer)) return JSON.parse(answer.text) as Manifest
  return isJob && answer.status === 409 ? one : describeApiError(answer)
}

/** Whether all that a person has written is the same: who owns which field, and the status, are not his. */
function isSameObject(a: Manifest, b: Manifest): boolean {
  const written = ({ status, metadata, ...rest }: Manifest) => {
    const { managedFields, resourceVersion, ...said } = metadata as Record<string, any>
    return { ...rest, metadata: said }
  }
  return isDeepStrictEqual(written(a), written(b))
}
