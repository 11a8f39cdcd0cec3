// What a check may do with a service's pods: run a command, read their log.
import { commandFailed, OutsideServiceError } from './checks.ts'
import { podsOf } from './workload-health.ts'
import { describeApiError, isApiSuccess } from '../kubernetes/api.ts'
import type { Environment } from '../kubernetes/environment.ts'
import { execInPod } from '../kubernetes/exec.ts'
import { isPodReady, selectWorkloads, type Manifest, type Pod } from '../kubernetes/objects.ts'
import { requestLog } from '../kubernetes/resources.ts'

/** The workload of a service. Throws Error where the overlay has none, or it is outside the cluster. */
function workload(all: Manifest[], service: string): Manifest {
  const found = selectWorkloads(all).find(
    ({ kind, metadata }) => kind !== 'Job' && metadata.name === service,
  )
  if (found) return found
  const outside = all.some(
    ({ kind, metadata, spec }) =>
      kind === 'Service' && metadata.name === service && spec.type === 'ExternalName',
  )
  throw outside
    ? new OutsideServiceError(`${service} is outside the cluster`)
    : new Error(`the overlay has no workload ${service}`)
}

/** The selector of a service's pods, as kubectl takes it. */
export const podSelector = (all: Manifest[], service: string): string =>
  Object.entries(workload(all, service).spec.selector.matchLabels as Record<string, string>)
    .map(pair => pair.join('='))
    .join(',')

const mainContainer = ({ spec }: Manifest): string => spec.template.spec.containers[0].name

/** What all pods of a service have logged in the last seconds. `all`: the overlay, as in the others. */
export const logsOf =
  (environment: Environment, all: Manifest[], pods: () => Promise<Pod[]>) =>
  async (service: string, sinceSeconds: number) => {
    const of = workload(all, service)
    const query = { container: mainContainer(of), sinceSeconds }
    const answers = await Promise.all(
      podsOf(of, await pods()).map(pod =>
        requestLog(environment, pod.metadata.name, query, 60_000),
      ),
    )
    // a pod that has gone by now says nothing
    const bad = answers.find(answer => !isApiSuccess(answer) && answer.status !== 404)
    if (bad) throw new Error(`the log of ${service} cannot be read: ${describeApiError(bad)}`)
    return answers.map(answer => (isApiSuccess(answer) ? answer.text : '')).join('')
  }

/** Runs a command in a ready pod of a service. */
export const execIn =
  (environment: Environment, all: Manifest[], pods: () => Promise<Pod[]>) =>
  async (service: string, argv: string[], input?: string) => {
    const of = workload(all, service)
    const pod = podsOf(of, await pods()).find(isPodReady)
    if (!pod) throw new Error(`no pod of ${service} is ready`)
    const output = await execInPod(environment, {
      pod: pod.metadata.name,
      container: mainContainer(of),
      argv,
      input,
    })
    if (output.code !== 0) throw commandFailed(argv[0] ?? '', service, output)
    return output.stdout
  }
