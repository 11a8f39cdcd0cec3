// Kubernetes judges by the rules of Compose: the same groups, of which each selects our series
// alone in a cluster's Prometheus, and which pass the same tests.
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { parseAllDocuments, stringify } from 'yaml'
import { nameOf, rules, runPromtool, testFiles } from '../alerts.ts'
import { ours, written } from '../kubernetes-monitoring.ts'
import { withMatcher } from '../promql.ts'
import { repository } from '../sandbox.ts'
import { promtool } from '../tools.ts'

type Json = Record<string, any>

const test = suite('monitoring on Kubernetes')
const read = (file: string) => readFileSync(join(repository, file), 'utf8')
const documents: Json[] = Object.keys(written)
  .filter(file => file.endsWith('rules.yaml'))
  .flatMap(file => parseAllDocuments(read(file)).map(one => one.toJS() as Json))

test('what stands in infra/k8s is what the rules and dashboards of infra/monitoring make', () => {
  for (const [file, text] of Object.entries(written))
    assert.is(read(file), text, `${file}: node --import=tsx test/kubernetes-monitoring.ts --write`)
})

test('the groups are the same on both engines, but that on Kubernetes they select our series alone', () => {
  const there = documents.flatMap(({ spec }) => spec.groups.flatMap(({ rules }: Json) => rules))
  const without = (all: Json[]) =>
    all
      .map(({ file, ...rule }) => rule)
      .sort((a, b) => nameOf(a as never).localeCompare(nameOf(b as never)))
  assert.equal(
    without(there),
    without(rules).map(rule => ({ ...rule, expr: ours(rule.expr) })),
  )
})

test('a selector gets a matcher more, wherever it stands', () => {
  assert.is(
    withMatcher('a{b="c"} / on (d) rate(e[5m]) > f offset 5h or vector(1)', 'g!=""'),
    'a{g!="",b="c"} / on (d) rate(e{g!=""}[5m]) > f{g!=""} offset 5h or vector(1)',
  )
})

/** Writes the rules of Kubernetes as files for promtool, and these tests of theirs; the tests' paths. */
function writeTests(files: { name: string; text: string }[]): string[] {
  const folder = mkdtempSync(join(tmpdir(), 'kgc-kubernetes-rules-'))
  for (const { metadata, spec } of documents)
    writeFileSync(join(folder, `${metadata.name}.rules.yml`), stringify(spec))
  return files.map(({ name, text }) => {
    const path = join(folder, name)
    writeFileSync(path, text.replace(/\.\.\/\S+\/rules\/(\w+)\.yml/g, '$1.rules.yml'))
    return path
  })
}

test('they pass the tests of the rules', async () => {
  const files = testFiles.map(file => ({ name: basename(file), text: readFileSync(file, 'utf8') }))
  const { code, text } = await runPromtool(promtool, ['test', 'rules', ...writeTests(files)])
  assert.is(code, 0, text)
})

test('what a cluster measures of others raises nothing', async () => {
  const strange = [
    'up{job="kube-proxy"}',
    'up{job="node-exporter", instance="10.0.0.1:9100"}',
    'probe_success{job="probe"}',
    'container_health_state{service="kubelet", namespace="default"}',
    'pg_up{service="other"}',
    'redis_up{service="other"}',
    'prometheus_config_last_reload_successful{service="other"}',
  ].map(series => ({ series, values: '0x60' }))
  const restarts = 'container_start_time_seconds{service="kubelet", pod="a", container="b"}'
  const alerts = documents
    .flatMap(({ spec }) => spec.groups.flatMap(({ rules }: Json) => rules))
    .flatMap(({ alert }: Json) => (alert && alert !== 'Watchdog' ? [alert as string] : []))
  const text = stringify({
    rule_files: documents.map(({ metadata }) => `${metadata.name}.rules.yml`),
    evaluation_interval: '1m',
    tests: [
      {
        interval: '1m',
        input_series: [...strange, { series: restarts, values: '0+100x60' }],
        alert_rule_test: alerts.map(alertname => ({ alertname, eval_time: '50m', exp_alerts: [] })),
      },
    ],
  })
  const [file] = writeTests([{ name: 'strange.yml', text }])
  const done = await runPromtool(promtool, ['test', 'rules', file!])
  assert.is(done.code, 0, done.text)
})

test.run()
