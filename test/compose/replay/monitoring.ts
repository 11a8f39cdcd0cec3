// Faults of the monitoring, of what scripts leave for it, and of the logs.
import { spawnSync } from 'node:child_process'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { formatTestAlert } from '../../../scripts/lib/monitoring/silence.ts'
import { formatMarker } from '../../../scripts/lib/monitoring/start-marker.ts'
import { writeMetrics } from '../../../scripts/lib/monitoring/textfile.ts'
import { encodeLogs } from '../../otlp.ts'
import { waitUntil } from '../../until.ts'
import type { Demo } from './demo.ts'
import { hour, seconds, stop, type Fault } from './fault.ts'

const metrics = (
  name: string,
  text: (now: number) => string,
  after: string | ((now: number) => string) = '',
) => ({
  make: (demo: Demo) => writeMetrics(demo.project, name, text(Date.now())),
  mend: (demo: Demo) =>
    writeMetrics(demo.project, name, typeof after === 'string' ? after : after(Date.now())),
})

/** Rules that Prometheus cannot evaluate, or cannot read. */
const badRules = (name: string, text: string) => {
  const reload = (demo: Demo) =>
    void demo.engine('kill', '--signal', 'HUP', demo.container('prometheus'))
  return {
    make: (demo: Demo) => {
      writeFileSync(join(demo.rules, name), text)
      reload(demo)
    },
    mend: (demo: Demo) => {
      rmSync(join(demo.rules, name))
      reload(demo)
    },
  }
}

/** All that runs stays up. */
export const monitoring: Fault[] = [
  { alerts: { Watchdog: { shows: /prometheus/ }, NotificationsFailing: { shows: /refused/ } } },
  {
    alerts: { TestAlertMissing: { shows: /alertmanager/ } },
    ...metrics('kgc_test_alert', now => formatTestAlert(now - 9 * 24 * hour), formatTestAlert),
  },
  {
    alerts: {
      BackupLate: { shows: /backup/ },
      BackupFailed: { shows: /backup/ },
      BackupUnproven: { shows: /backup/ },
    },
    ...metrics(
      'kgc_backup',
      now =>
        `kgc_backup_last_success_timestamp_seconds{application="kgc"} ${seconds(now - 40 * hour)}\n` +
        `kgc_backup_last_try_succeeded 0\nkgc_backup_key_proven_timestamp_seconds ${seconds(now - 2400 * hour)}\n`,
    ),
  },
  {
    alerts: { DeployFailed: { shows: /kgc-api/ } },
    ...metrics(
      'kgc_deploy',
      now => formatMarker('replay', false, now),
      now => formatMarker('replay', true, now),
    ),
  },
  {
    alerts: { TextfileUnreadable: { shows: /broken\.prom/ } },
    ...metrics('broken', () => 'this { is no metric\n'),
  },
  {
    alerts: { LogsRefused: { shows: /loki/ } },
    again: async demo => {
      const resource = { application: 'kgc', service: 'kgc-api', environment: 'demo' }
      await fetch(`http://${demo.address('loki')}:3100/otlp/v1/logs`, {
        method: 'POST',
        headers: { 'content-type': 'application/x-protobuf' },
        body: new Uint8Array(encodeLogs(resource, [['old', Date.now() - 500 * hour]])),
      })
    },
  },
  {
    alerts: { LogDiskFilling: { shows: /^5\d\t\/loki$/m } },
    make: demo => void demo.inside('loki', 'head -c 59200000 /dev/zero > /loki/fill'),
    mend: demo => void demo.inside('loki', 'rm /loki/fill'),
  },
  {
    alerts: { ContainerRestarting: { labels: { service: 'kgc-admin' }, shows: /kgc-admin/ } },
    again: async demo => void demo.engine('restart', '-t', '0', demo.container('kgc-admin')),
  },
  {
    alerts: {
      TargetDown: { labels: { instance: 'blackbox-exporter' }, shows: /blackbox-exporter/ },
      ContainerUnhealthy: { labels: { service: 'blackbox-exporter' }, shows: /unhealthy/ },
    },
    make: demo => void demo.inside('blackbox-exporter', 'kill -STOP -1'),
    mend: demo => void demo.inside('blackbox-exporter', 'kill -CONT -1'),
  },
  {
    alerts: { PrometheusRuleFailing: { shows: /many-to-many/ } },
    ...badRules(
      'broken.yml',
      'groups: [{ name: broken, rules: [{ record: broken, expr: up * on () up }] }]\n',
    ),
  },
]

/** What judges, tells and measures is away itself. */
export const blind: Fault[] = [
  {
    alerts: { ConfigurationRefused: { labels: { job: 'prometheus' }, shows: /broken\.yml/ } },
    ...badRules('broken.yml', 'groups: no list\n'),
  },
  {
    alerts: { AlertmanagerUnreachable: { shows: /alertmanager.*Exited/ } },
    make: stop('alertmanager'),
  },
  {
    alerts: { ContainerMetricsMissing: { shows: /container factory failed/ } },
    // cAdvisor asks for the engine at its start alone
    make: async demo => {
      const cadvisor = demo.container('cadvisor')
      stop('monitoring-socket-proxy')(demo)
      demo.engine('restart', '-t', '1', cadvisor)
      const log = () =>
        spawnSync('docker', ['logs', '--since', '1m', cadvisor], { encoding: 'utf8' })
      await waitUntil('cAdvisor without the engine', 90, () =>
        /docker container factory failed/.test(log().stderr),
      )
      demo.engine('start', demo.container('monitoring-socket-proxy'))
    },
    mend: demo => void demo.engine('restart', '-t', '1', demo.container('cadvisor')),
  },
]
