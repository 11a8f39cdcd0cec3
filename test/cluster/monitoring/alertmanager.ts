// An Alertmanager in the namespace where kube-prometheus-stack stands.
import { apply, kubectl } from '../cluster.ts'
import { build, find, type Json } from '../manifests.ts'
import { demoImage, here } from './objects.ts'

/** An Alertmanager where every operator has its own, and the deployer's right to talk to it. */
export function startAlertmanager(space: string): void {
  const cluster = build('cluster/monitoring')
  const labels = { app: 'alertmanager' }
  const config = 'route: { receiver: nobody }\nreceivers: [{ name: nobody }]\n'
  const name = 'alertmanager-operated'
  apply(
    { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, ...here }, data: { config } },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name, ...here, labels: { 'operated-alertmanager': 'true' } },
      spec: { selector: labels, ports: [{ name: 'web', port: 9093 }] },
    },
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name, ...here },
      spec: {
        selector: { matchLabels: labels },
        template: {
          metadata: { labels },
          spec: {
            containers: [
              {
                name: 'alertmanager',
                image: demoImage('alertmanager'),
                args: ['--config.file=/config/config', '--storage.path=/tmp'],
                readinessProbe: { httpGet: { path: '/-/ready', port: 9093 }, periodSeconds: 1 },
                volumeMounts: [{ name: 'config', mountPath: '/config' }],
              },
            ],
            volumes: [{ name: 'config', configMap: { name } }],
          },
        },
      },
    },
    find(cluster, 'Role', 'kgc-silences'),
    {
      ...find(cluster, 'RoleBinding', 'kgc-silences'),
      subjects: [{ kind: 'ServiceAccount', name: 'deployer', namespace: space }],
    },
  )
  kubectl(['rollout', 'status', 'deployment', name, '--namespace', 'monitoring', '--timeout=120s'])
}

/** What Alertmanager answers, through the API server. */
export const askAlertmanager = (path: string): Json[] =>
  JSON.parse(
    kubectl([
      ...['get', '--raw'],
      `/api/v1/namespaces/monitoring/services/alertmanager-operated:9093/proxy/api/v2/${path}`,
    ]),
  )
