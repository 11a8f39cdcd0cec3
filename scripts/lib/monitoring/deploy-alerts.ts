// What a deploy or a rollback on Kubernetes says to Alertmanager: it silences what its own restarts
// raise, and tells of its failure where nothing else does. It is asked through the API server.
import { exit, type Failure } from '../errors.ts'
import { describeApiError, isApiSuccess, requestApi } from '../kubernetes/api.ts'
import type { Environment } from '../kubernetes/environment.ts'
import type { Manifest } from '../kubernetes/objects.ts'
import { loadWebhooks } from '../notify/notify.ts'
import {
  endSilence,
  silenceRestarts,
  warned,
  type AlertmanagerPost,
  type RestartSilence,
} from './restarts.ts'

/** The Service that the operator makes for every Alertmanager of its own. */
const service = '/api/v1/namespaces/monitoring/services/alertmanager-operated:9093/proxy'
/** ms for an answer: nobody waits long for what is never a result. */
const timeoutMs = 5_000

const postThrough =
  (environment: Environment): AlertmanagerPost =>
  async (path, body) => {
    const options = { method: 'POST', body, timeout: timeoutMs } as const
    const answer = await requestApi(environment, service + path, options)
    if (!isApiSuccess(answer)) throw new Error(describeApiError(answer))
    return answer.text
  }

/** As relabelling makes it of the namespace. */
const labelOf = ({ namespace }: Environment): string => namespace.replace(/^kgc-/, '')

/** Whether the component `monitoring` is among the manifests. */
const isMeasured = (all: Manifest[]): boolean =>
  all.some(({ apiVersion }) => /^monitoring\.coreos\.com\//.test(apiVersion as string))

export interface DeployAlerts {
  /** Silences what the restarts of the deploy raise. */
  silence: () => Promise<void>
  /** Ends that; `failure` is how the deploy ended when it did not succeed. */
  end: (failure?: Failure) => Promise<void>
}

/**
 * For a deploy of these manifests, called `what`; it does nothing where they do not have the
 * environment measured. What fails is a warning.
 */
export function createDeployAlerts(
  environment: Environment,
  all: Manifest[],
  what: string,
): DeployAlerts {
  const nothing = async () => {}
  if (!isMeasured(all)) return { silence: nothing, end: nothing }
  const post = postThrough(environment)
  let silence: RestartSilence | undefined
  return {
    silence: async () => void (silence = await silenceRestarts(post, labelOf(environment), what)),
    end: async failure => {
      await endSilence(post, silence, !failure || failure.code === exit.rolledBack)
      if (failure && !hasWebhooks(environment))
        await warned('Nobody is told of the failure', () =>
          post('/api/v2/alerts', [describeFailure(environment, what, failure)]),
        )
    },
  }
}

/** Whether the deploy tells people itself. */
function hasWebhooks({ name }: Environment): boolean {
  try {
    return loadWebhooks(name).length > 0
  } catch {
    return false
  }
}

/** The alert DeployFailed, which ends by itself after an hour. */
const describeFailure = (environment: Environment, what: string, { message }: Failure): object => ({
  labels: {
    alertname: 'DeployFailed',
    severity: 'critical',
    app: 'host',
    environment: labelOf(environment),
  },
  annotations: {
    summary: `A deploy to ${labelOf(environment)} has failed`,
    description: `The ${what}: ${message}`,
    runbook_url: 'infra/monitoring/RUNBOOK.md#deployfailed',
  },
  endsAt: new Date(Date.now() + 3_600_000).toISOString(),
})
