// An environment on Kubernetes, for smoke and admin.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { pollUntilFound, checkSettings, type SmokeContext, type SmokeTarget } from './checks.ts'
import { execIn, logsOf, podSelector } from './service-pods.ts'
import { workloadHealth } from './workload-health.ts'
import { describeApiError, isApiSuccess, requestApi } from '../kubernetes/api.ts'
import {
  selectKinds,
  workloadResourcesOf,
  selectWorkloads,
  type ClusterEvent,
  type Pod,
  type Manifest,
} from '../kubernetes/objects.ts'
import { listObjects, readList, resourcePath } from '../kubernetes/resources.ts'
import { findEnvironmentGoLive } from '../kubernetes/restored/held.ts'
import { renderManifests, readStackConfig } from '../kubernetes/kustomize.ts'
import { kubectl, kubectlArgv } from '../kubernetes/kubectl.ts'
import { rejectTraefikAnswers, isTraefikAnswer } from './doors.ts'
import { edgeAt } from './edge.ts'
import { Failure, exit } from '../errors.ts'
import type { Environment } from '../kubernetes/environment.ts'
import { dockerFolder } from '../repository.ts'

/** The label of an Ingress that the edge may serve (infra/k8s/cluster/traefik/config.env). */
const doorAnnotation = 'kgc.hu/door'

/** The environment in its cluster: its overlay, or other manifests that should be there. */
export async function createKubernetesTarget(
  environment: Environment,
  manifests?: Manifest[],
): Promise<SmokeTarget> {
  const all = manifests ?? (await renderManifests(environment))
  const pods = memoize(() => podsIn(environment))
  const requireRunning = async () => {
    if (!(await pods()).length)
      throw new Failure(exit.refused, `Ask ${environment.namespace}`, 'no pod is in it', {
        next: `kubectl apply -k ${environment.folder}`,
      })
  }
  return {
    title: environment.namespace,
    requireRunning,
    async health() {
      const start = Date.now()
      const wanted = selectWorkloads(all)
      const resources = workloadResourcesOf(wanted.map(({ kind }) => kind))
      const [seen, there] = await Promise.all([
        listObjects(environment, resources),
        pods(),
        requireRunning(),
      ])
      const workloads = selectKinds(seen, 'Deployment', 'StatefulSet', 'DaemonSet', 'Job')
      const now = Date.now()
      const judge = (events: ClusterEvent[]) =>
        wanted.map(one => ({
          name: one.metadata.name,
          ...workloadHealth(one, all, { workloads, pods: there, events, now }),
          ms: now - start,
        }))
      const found = judge([])
      return found.every(({ ok }) => ok) ? found : judge(await fetchEvents(environment))
    },
    context: folder => contextOf(environment, all, folder, pods),
    open: folder => openIngress(environment, all, folder),
    envFile: `infra/docker/.env.${environment.name}`,
    doctor: `npx zx scripts/bootstrap.ts --doctor --cluster --environment ${environment.name}`,
    findGoLive: async () => findEnvironmentGoLive(environment, await listPolicies(environment)),
  }
}

async function podsIn(environment: Environment): Promise<Pod[]> {
  const answer = await requestApi(environment, resourcePath(environment, 'v1/pods'))
  if (isApiSuccess(answer)) return selectKinds(readList(JSON.parse(answer.text) as Manifest), 'Pod')
  const next = `npx zx scripts/bootstrap.ts --doctor --cluster --environment ${environment.name}`
  throw new Failure(
    exit.refused,
    `Ask the cluster of ${environment.name}`,
    describeApiError(answer),
    {
      next,
    },
  )
}

/** What happened in the environment lately: why a pod is not ready. None where that may not be read. */
const fetchEvents = async (environment: Environment): Promise<ClusterEvent[]> =>
  selectKinds(await listObjects(environment, ['v1/events']).catch(() => []), 'Event')

/** The environment's policies, of which one that is held back says so. None where they may not be read. */
const listPolicies = (environment: Environment): Promise<Manifest[]> =>
  listObjects(environment, ['networking.k8s.io/v1/networkpolicies']).catch(() => [])

/** What `ask` answers, for 2 s: checks that run side by side want to know the same. */
function memoize<T>(ask: () => Promise<T>): () => Promise<T> {
  let last: { answer: Promise<T>; time: number } | undefined
  return () => {
    if (!last || Date.now() - last.time > 2000) last = { answer: ask(), time: Date.now() }
    return last.answer
  }
}

/**
 * Labels the Ingresses of a folder, without which Traefik leaves them out, and waits until it
 * serves them; '' when they say so themselves.
 */
async function openIngress(
  environment: Environment,
  all: Manifest[],
  folder: string,
): Promise<string> {
  const closed = all.filter(
    ({ kind, metadata }) =>
      kind === 'Ingress' &&
      metadata.labels?.['app.kubernetes.io/part-of'] === folder &&
      !metadata.labels[doorAnnotation],
  )
  if (!closed.length) return ''
  await kubectl(
    environment,
    [
      'label',
      '--overwrite',
      'ingress',
      ...closed.map(({ metadata }) => metadata.name),
      `${doorAnnotation}=open`,
    ],
    { what: `Open the host of ${folder}` },
  )
  const host: string = closed[0]!.spec.rules[0].host
  const url = `https://${host}${readStackConfig(all).URL_PORT ?? ''}/`
  // a certificate may still be on its way
  const edge = edgeAt(environment.edge, false)
  const open = await pollUntilFound(
    async () => ((await edge.get(url).then(isTraefikAnswer, () => true)) ? undefined : true),
    20,
  )
  return open
    ? `${host} is open`
    : `${host} is labelled as open; its edge cannot be reached from here, or no application is behind it`
}

/**
 * What the checks of a folder get: the settings of the environment's env files where they are here,
 * and the overlay's own.
 */
function contextOf(
  environment: Environment,
  all: Manifest[],
  folder: string,
  pods: () => Promise<Pod[]>,
): SmokeContext {
  const stack = readStackConfig(all)
  const here = existsSync(join(dockerFolder, `.env.${environment.name}`))
  return {
    edge: rejectTraefikAnswers(edgeAt(environment.edge, !environment.disposable), folder),
    address: subdomain => `https://${subdomain}.${stack.DOMAIN}${stack.URL_PORT ?? ''}`,
    env: { ...(here ? checkSettings(`.${environment.name}`, folder) : {}), ...stack },
    exec: execIn(environment, all, pods),
    logs: logsOf(environment, all, pods),
    logCommand: service =>
      `${kubectlArgv(environment).join(' ')} logs --selector ${podSelector(all, service)} --prefix`,
    disposable: environment.disposable,
  }
}
