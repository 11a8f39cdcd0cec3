// How long services were away, by what the cluster tells of their pods.
import { requestApi } from '../../kubernetes/api.ts'
import type { Environment } from '../../kubernetes/environment.ts'
import { isPodReady, type Pod } from '../../kubernetes/objects.ts'
import { resourcePath } from '../../kubernetes/resources.ts'

/** A pod was seen. */
export interface PodSighting {
  /** ms */
  at: number
  service: string
  pod: string
  ready: boolean
}

/** Listens from now on. */
export interface PodWatch {
  /** ms without a ready pod of a service that had one; 0: there was always one. */
  measure: (service: string) => number
  stop: () => void
}

/** Watches the pods of an environment; a connection that ends is opened again. */
export function watchPods(environment: Environment): PodWatch {
  const end = new AbortController()
  const seen: PodSighting[] = []
  const read = createLineReader(line => {
    const { type, object } = JSON.parse(line) as { type: string; object: Pod }
    const service = object.metadata?.labels?.['app.kubernetes.io/name']
    if (!service) return
    const ready = type !== 'DELETED' && isPodReady(object)
    seen.push({ at: Date.now(), service, pod: object.metadata.name, ready })
  })
  const path = `${resourcePath(environment, 'v1/pods')}?watch=true`
  const listen = async () => {
    while (!end.signal.aborted) {
      const { status } = await requestApi(environment, path, {
        ...{ timeout: Infinity, signal: end.signal, onOutput: read },
      })
      if (status !== 200) return
    }
  }
  // without it nothing is measured, and all else goes on
  listen().catch(() => {})
  return { measure: service => longestGap(seen, service), stop: () => end.abort() }
}

/** Hands over whole lines of a text that comes in pieces. */
function createLineReader(onLine: (line: string) => void): (text: string) => void {
  let rest = ''
  return text => {
    const lines = (rest + text).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) if (line.startsWith('{')) onLine(line)
  }
}

/** The longest time in which no pod of a service was ready, between two in which one was, ms. */
export function longestGap(seen: PodSighting[], service: string): number {
  const ready = new Set<string>()
  let [longest, since] = [0, 0]
  for (const one of seen.filter(other => other.service === service)) {
    const before = ready.size
    if (one.ready) ready.add(one.pod)
    else ready.delete(one.pod)
    if (before && !ready.size) since = one.at
    if (!before && ready.size && since) longest = Math.max(longest, one.at - since)
  }
  return longest
}
