// What Kubernetes has of infra/monitoring that kustomize cannot make: each file of rules as a
// PrometheusRule, and the list of the dashboards. `--write` writes it; a test compares.
import { readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isScalar, parseDocument, visit } from 'yaml'
import { rulesFolder } from './alerts.ts'
import { withMatcher } from './promql.ts'
import { repository } from './sandbox.ts'

/** By the file in the repository, the files of rules that it holds. */
const homes: Record<string, string[]> = {
  // what says how the applications of one environment are
  'infra/k8s/components/monitoring/objects/rules.yaml': [
    'applications.yml',
    'containers.yml',
    'queues.yml',
    'stores.yml',
  ],
  // what is judged once for all of them
  'infra/k8s/cluster/monitoring/objects/rules.yaml': [
    'backups.yml',
    'host.yml',
    'monitoring.yml',
    'recording.yml',
  ],
}

const note =
  '# From infra/monitoring/prometheus/rules, by: node --import=tsx test/kubernetes-monitoring.ts --write'

/**
 * A cluster's Prometheus has series that are not ours, containers and disks among them: ours are
 * those that relabelling gave an environment.
 */
export const ours = (expression: string): string => withMatcher(expression, 'environment!=""')

/** The text of a file of rules in which every expression selects series of ours alone. */
function onlyOurs(text: string): string {
  let result = text
  const expressions: [number, number][] = []
  visit(parseDocument(text), {
    Pair: (_, { key, value }) =>
      void (
        isScalar(key) &&
        key.value === 'expr' &&
        isScalar(value) &&
        expressions.push([value.range![0], value.range![1]])
      ),
  })
  // from the end, so that what comes before stays where it is
  for (const [from, to] of expressions.reverse()) {
    // of a folded scalar without the sign that it is one
    const [, sign = '', written = ''] = /^(>-\n)?([^]*)$/.exec(result.slice(from, to))!
    result = result.slice(0, from) + sign + ours(written) + result.slice(to)
  }
  return result
}

/** The text of a file of rules as an object of the operator's; its comments stay. */
function prometheusRule(file: string): string {
  const text = onlyOurs(readFileSync(join(rulesFolder, file), 'utf8'))
  const [comment, groups] = text.split(/^(?=groups:)/m)
  return `${comment}apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: ${file.replace('.yml', '')}
  annotations: { kgc.hu/order: application }
spec:
${groups!.replace(/^(?=.)/gm, '  ')}`
}

/** The list of the dashboards, each as a ConfigMap of its own. */
function dashboards(): string {
  const files = readdirSync(join(repository, 'infra/monitoring/grafana/dashboards'))
    .filter(file => file.endsWith('.json'))
    .sort()
  const generators = files.map(
    file => `  - { name: dashboard-${file.replace('.json', '')}, files: [dashboards/${file}] }\n`,
  )
  return `# For infra/k8s, which can read these files in no other way. Each dashboard of the folder, by:
#   node --import=tsx test/kubernetes-monitoring.ts --write
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
${files.length ? 'configMapGenerator:\n' : ''}${generators.join('')}generatorOptions:
  # with it, Grafana's sidecar would delete a changed dashboard: it removes the old object's file after it has written the new one's
  disableNameSuffixHash: true
  labels: { grafana_dashboard: "1" }
  annotations: { kgc.hu/order: data, grafana_folder: KGC }
`
}

/** By file, what should stand there. */
export const written: Record<string, string> = {
  ...Object.fromEntries(
    Object.entries(homes).map(([file, rules]) => [
      file,
      `${note}\n${rules.map(prometheusRule).join('---\n')}`,
    ]),
  ),
  'infra/monitoring/grafana/kustomization.yaml': dashboards(),
}

if (process.argv.includes('--write'))
  for (const [file, text] of Object.entries(written)) writeFileSync(join(repository, file), text)
