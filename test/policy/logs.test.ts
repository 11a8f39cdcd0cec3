// What the collector says of a line agrees with the Compose files.
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { parse } from 'yaml'
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

test.run()
