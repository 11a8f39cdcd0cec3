// Where Prometheus finds what is said of an environment's backups: a ConfigMap that outlives the run that
// took them, served by the exporter of the component `monitoring`.
import { describeApiError, isApiSuccess, requestApi } from '../../kubernetes/api.ts'
import type { Environment } from '../../kubernetes/environment.ts'
import { resourcePath } from '../../kubernetes/resources.ts'
import { backupMetricsName as name } from '../../monitoring/textfile.ts'

/**
 * Replaces the environment's metrics of backups, text in Prometheus's format; an environment that is not
 * measured yet keeps them until it is. Throws Error with the API server's words.
 */
export async function writeEnvironmentMetrics(
  environment: Environment,
  text: string,
): Promise<void> {
  const path = resourcePath(environment, 'v1/configmaps', name)
  const answer = await requestApi(environment, `${path}?fieldManager=backup&force=true`, {
    method: 'PATCH',
    contentType: 'application/apply-patch+yaml',
    body: {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name },
      data: { 'kgc_backup.prom': text },
    },
  })
  if (!isApiSuccess(answer)) throw new Error(describeApiError(answer))
}
