// Traefik's pod, where its certificates are: it reads their file when it starts, and from then on only
// writes it, in place and from its memory (pkg/provider/acme/local_store.go).
import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { exit, Failure } from '../../../errors.ts'
import { describeApiError, isApiSuccess } from '../../../kubernetes/api.ts'
import { describeUnreadyPods } from '../../../kubernetes/diagnosis/pod.ts'
import type { Environment } from '../../../kubernetes/environment.ts'
import { execInPod } from '../../../kubernetes/exec.ts'
import { createRetryingApi } from '../../../kubernetes/kubectl-retry.ts'
import {
  isChangeObserved,
  isPodReady,
  selectKinds,
  type Deployment,
} from '../../../kubernetes/objects.ts'
import { describeMissingReplicas } from '../../../kubernetes/replicas.ts'
import { findObject, listObjects, resourcePath } from '../../../kubernetes/resources.ts'
import { constantDelays, pollUntil, retryAttempts, type Attempt } from '../../../retry.ts'
import { lastLineOf } from '../../../text.ts'
import { readRemoteFile, writeRemoteFile, type PodShell } from '../transport.ts'
import { parseStore, type CertificateStore } from './store.ts'

/** Its namespace, its Deployment and the container in that (infra/k8s/cluster/traefik). */
export const edgeName = 'traefik'

/** The cluster of an environment, in Traefik's namespace. */
export const edgeOf = (environment: Environment): Environment => ({
  ...environment,
  namespace: edgeName,
})

/** The shell of Traefik's pod. Throws Failure (refused) where none is ready. */
export async function openEdge(environment: Environment): Promise<PodShell> {
  const edge = edgeOf(environment)
  const pods = selectKinds(await listObjects(edge, ['v1/pods']), 'Pod').filter(isPodReady)
  const pod = pods.find(({ metadata }) => metadata.labels?.['app.kubernetes.io/name'] === edgeName)
    ?.metadata.name
  if (!pod)
    throw new Failure(exit.refused, 'Look for Traefik', `no pod of it is ready in ${edgeName}`, {
      next: `kubectl get pods -n ${edgeName}; an administrator brings it: kubectl apply -k infra/k8s/cluster`,
    })
  return (script, words = [], input) =>
    execInPod(edge, { pod, container: edgeName, argv: ['sh', '-c', script, ...words], input })
}

/** The file of a resolver, as Traefik's own settings say; undefined where it has no such resolver. Throws Failure (5). */
export async function findStorage(shell: PodShell, resolver: string): Promise<string | undefined> {
  const name = `TRAEFIK_CERTIFICATESRESOLVERS_${resolver.toUpperCase()}_ACME_STORAGE`
  const { stdout, stderr, code } = await shell('printenv "$0" || true', [name])
  if (code === 0) return stdout.trim() || undefined
  const why = lastLineOf(stderr) || 'no answer'
  throw new Failure(exit.rolledBack, "Read Traefik's settings", why)
}

/** A file of certificates as it was read. */
export interface ReadStore {
  store: CertificateStore
  /** SHA-256 of its bytes; '' where it is not there. */
  sum: string
  /** It was written from here, and Traefik has not started since. */
  unread: boolean
}

const sumOf = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')
const unreadMark = '.restored'

const factsScript = `if [ -e "$0${unreadMark}" ]; then echo unread; else echo read; fi
if [ -e "$0" ]; then stat -c %s "$0" && sha256sum <"$0"; else echo 0; fi`

/** Reads a file of certificates, again where Traefik writes it just then. Throws Failure (5) where it stays not whole. */
export async function readStore(
  shell: PodShell,
  path: string,
  delays: number[] = [300, 600, 1200, 2400],
): Promise<ReadStore> {
  const outcome = await retryAttempts(async (): Promise<Attempt<ReadStore>> => {
    const { stdout, stderr, code } = await shell(factsScript, [path])
    const facts = /^(unread|read)\n(\d+)\n(?:([0-9a-f]{64})\b.*\n)?$/.exec(stdout)
    if (code !== 0 || !facts) return { why: lastLineOf(stderr) || 'no answer', wait: 0 }
    const [, mark, bytes, sum = ''] = facts
    const read = await readRemoteFile(shell, path, Number(bytes)).toArray()
    const text = Buffer.concat(read as Buffer[])
    if (sum && sumOf(text) !== sum) return { why: 'it changed while it was read', wait: 0 }
    const store = parseStore(text.toString())
    if (!store) return { why: 'it is no whole JSON of certificates', wait: 0 }
    return { done: { store, sum, unread: mark === 'unread' } }
  }, delays)
  if ('done' in outcome) return outcome.done
  throw new Failure(exit.rolledBack, `Read ${path} of Traefik`, outcome.why)
}

// the mark comes first: who is killed in between restarts Traefik once too often, and never too seldom
const swapScript = `test "$(sha256sum <"$0" | cut -c1-64)" = "$2" || { echo 'not all of it arrived' >&2; exit 1; }
if [ "$( (sha256sum <"$1") 2>/dev/null | cut -c1-64)" != "$3" ]; then rm -f "$0"; echo changed; exit; fi
: >"$1${unreadMark}" && chmod 600 "$0" && mv "$0" "$1" && echo swapped`

/**
 * Gives a file of certificates another content, whole or not at all, with mode 0600, without which Traefik
 * does not start. Out: whether it was as it was read (`before`); else nothing has been changed. Throws Failure (5).
 */
export async function replaceStore(
  shell: PodShell,
  path: string,
  before: string,
  store: CertificateStore,
): Promise<boolean> {
  const bytes = Buffer.from(JSON.stringify(store, undefined, 2))
  await writeRemoteFile(shell, `${path}.new`, Readable.from([bytes]))
  const words = [`${path}.new`, path, sumOf(bytes), before]
  const { stdout, stderr } = await shell(swapScript, words)
  const said = stdout.trim()
  if (said === 'swapped' || said === 'changed') return said === 'swapped'
  const why = lastLineOf(stderr) || 'no answer'
  throw new Failure(exit.rolledBack, `Write ${path} of Traefik`, why, {
    next: 'the same command again',
  })
}

/** Notes that Traefik has started since. Throws Failure (5). */
export async function markRead(shell: PodShell, path: string): Promise<void> {
  const { stderr, code } = await shell(`rm -f "$0${unreadMark}"`, [path])
  if (code !== 0)
    throw new Failure(exit.rolledBack, `Remove ${path}${unreadMark} of Traefik`, lastLineOf(stderr))
}

const deployments = 'apps/v1/deployments'
/** ms: its own progressDeadlineSeconds, and the grace period of the pod before. */
const restartLimitMs = 360_000

/** Restarts Traefik, as `kubectl rollout restart` does, and waits until it is ready. Throws Failure (6). */
export async function restartEdge(environment: Environment): Promise<void> {
  const [edge, ask] = [edgeOf(environment), createRetryingApi()]
  const annotations = { 'kubectl.kubernetes.io/restartedAt': new Date().toISOString() }
  const answer = await ask(edge, resourcePath(edge, deployments, edgeName), {
    method: 'PATCH',
    contentType: 'application/merge-patch+json',
    body: { spec: { template: { metadata: { annotations } } } },
  })
  const what = 'Restart Traefik'
  const next = 'the same command again: it goes on here'
  if (!isApiSuccess(answer))
    throw new Failure(exit.broken, what, describeApiError(answer), { next })
  const look = async () =>
    (await findObject(edge, deployments, edgeName, { ask })) as Deployment | undefined
  const isUp = (seen?: Deployment) =>
    Boolean(seen && isChangeObserved(seen) && !describeMissingReplicas(seen))
  const seen = await pollUntil(look, isUp, constantDelays(1000, restartLimitMs))
  if (isUp(seen)) return
  const all = await listObjects(edge, ['v1/pods', 'v1/events'], { ask })
  const [pods, events] = [selectKinds(all, 'Pod'), selectKinds(all, 'Event')]
  throw new Failure(exit.broken, what, 'it is not ready', {
    ...{ evidence: describeUnreadyPods(pods, events, Date.now()), next },
    serving: 'no site answers until Traefik does',
  })
}
