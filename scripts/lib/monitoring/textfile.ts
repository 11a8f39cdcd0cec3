// Metrics of what runs now and then: node exporter serves the files of its folder.
import { execInContainer, readContainers } from '../compose/containers.ts'
import { lastLineOf } from '../text.ts'

/** On Kubernetes the ConfigMap with what backups say; infra/k8s/components/monitoring/backup-exporter.yaml serves it. */
export const backupMetricsName = 'backup-metrics'

/** A file that is not whole is never there. */
const write =
  'printf %s "$METRICS" >"/textfile/$0.tmp" && mv "/textfile/$0.tmp" "/textfile/$0.prom"'

/**
 * Replaces the project's file of metrics of that name, text in Prometheus's format. Throws Error
 * where node exporter does not run or its folder cannot be written.
 */
export async function writeMetrics(project: string, name: string, text: string): Promise<void> {
  const exporter = (await readContainers(project)).get('node-exporter')
  if (exporter?.State.Status !== 'running') throw new Error('node-exporter does not run')
  // the volume's folder is root's
  const options = ['--user', '0', '--env', `METRICS=${text}`]
  const argv = ['sh', '-c', write, name]
  const { code, stderr } = await execInContainer(exporter.Id, argv, 10_000, options)
  if (code !== 0) throw new Error(lastLineOf(stderr))
}
