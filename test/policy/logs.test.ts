// What the collector says of a line agrees with the Compose files.
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { parse, parseAllDocuments } from 'yaml'
import { repository } from '../sandbox.ts'

const test = suite('logs')
const read = (...path: string[]) => readFileSync(join(repository, 'infra', ...path), 'utf8')
const config = read('monitoring/collector/config.yaml')

/** Services of the Compose files of `infra/<folder>`, by the folder that each file is in. */
const servicesOf = (folder: string): [string, string[]][] =>
  readdirSync(join(repository, 'infra', folder))
    .filter(name => existsSync(join(repository, 'infra', folder, name, 'docker-compose.yml')))
    .map(name => [name, Object.keys(parse(read(folder, name, 'docker-compose.yml')).services)])

const [, others = '', application] = /resource\.service in \[([^\]]+)\] \? "([^"]+)"/.exec(config)!
const monitoring = new RegExp(/matches "([^"]+)" \? "monitoring"/.exec(config)![1]!)
/** As the expression in config.yaml says it. */
function applicationOf(name: string): string | undefined {
  if (others.includes(`"${name}"`)) return application
  return monitoring.test(name) ? 'monitoring' : name.split('-')[0]
}

test('the services of a folder are one application, those of monitoring are called monitoring', () => {
  for (const [folder, services] of servicesOf('docker')) {
    const applications = new Set(services.map(applicationOf))
    assert.is(applications.size, 1, `${folder}: ${services.join(' ')}`)
    assert.ok(folder.startsWith([...applications][0]!), `${folder} is ${[...applications][0]}`)
  }
  for (const [folder, services] of servicesOf('monitoring'))
    for (const name of services) assert.is(applicationOf(name), 'monitoring', `${folder}: ${name}`)
})

test('a line says its project and service, and the collector reads those two', () => {
  const { labels } = parse(read('docker/common.yml')).services.hardened.logging.options
  for (const label of labels.split(',')) assert.match(config, `["${label}"]`)
})

test("Loki's limits fit what the collector sends", () => {
  const { exporters, receivers } = parse(config)
  const { max_size: batch } = exporters.otlp_http.sending_queue.batch
  const { limits_config: limits, compactor } = parse(read('monitoring/loki/config.yaml'))
  assert.ok(
    batch < limits.ingestion_burst_size_mb * 1024 ** 2,
    'a batch above the burst is refused for ever',
  )
  const { max_log_size: line } = receivers.file_log.operators.find(
    (one: { type: string }) => one.type === 'recombine',
  )
  assert.ok(parseInt(line, 10) + 16 < parseInt(limits.max_line_size, 10), 'a line in parts')
  assert.is(limits.reject_old_samples_max_age, limits.retention_period)
  assert.ok(compactor.retention_enabled, 'without it nothing is deleted')
})

/** ms of `10m`, `1h`. */
const durationMs = (text: string): number =>
  parseInt(text, 10) * { s: 1_000, m: 60_000, h: 3_600_000 }[text.at(-1) as 's' | 'm' | 'h']

test('Loki has deleted what its sweeper asked for before it asks again, and before the disk is full', () => {
  const { compactor, ingester } = parse(read('monitoring/loki/config.yaml'))
  // retention is applied after one and a half intervals, and a request a minute after it came (pkg/compactor)
  const late =
    durationMs(compactor.delete_request_cancel_period) +
    durationMs(compactor.compaction_interval) * 1.5 +
    durationMs(compactor.retention_delete_delay) +
    2 * 60_000
  const pause = Number(/SWEEP_PAUSE:-(\d+)/.exec(read('monitoring/loki/sweep.sh'))![1]) * 1_000
  assert.ok(late < pause, `${late} ms of ${pause}`)
  const pod = parseAllDocuments(read('k8s/cluster/monitoring/loki.yaml'))
    .map(one => one.toJS())
    .find(one => one.kind === 'StatefulSet').spec
  const [, sweeper] = pod.template.spec.containers
  const [limit] = sweeper.env.filter(({ name }: { name: string }) => name === 'LOKI_MAX_MB')
  const [{ spec: claim }] = pod.volumeClaimTemplates
  const megabytes = parseInt(claim.resources.requests.storage, 10) * 1024
  assert.ok(limit.value < ingester.wal.disk_full_threshold * megabytes, 'below its claim')
})

test.run()
