// What a start and a deploy say to Alertmanager: what their own restarts raise is silenced for as
// long as they take, and a failure is told once.
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { exit, Failure } from '../../scripts/lib/errors.ts'
import type { Manifest } from '../../scripts/lib/kubernetes/objects.ts'
import { createDeployAlerts } from '../../scripts/lib/monitoring/deploy-alerts.ts'
import { restartAlerts } from '../../scripts/lib/monitoring/restarts.ts'
import { formatMarker } from '../../scripts/lib/monitoring/start-marker.ts'
import { nameOf, rules } from '../alerts.ts'
import { environment, withFakeKubectl } from './fake-kubectl.ts'

const test = suite('restart silences')
const log = join(mkdtempSync(join(tmpdir(), 'kgc-silences-')), 'log')
const there = { ...environment, namespace: 'kgc-played' }

/** An API server that leads to Alertmanager, and answers with this status. */
const apiServer = (status: number) => `
const { createServer } = require('node:http')
const { appendFileSync } = require('node:fs')
createServer((request, response) => {
  let text = ''
  request.on('data', part => (text += part))
  request.on('end', () => {
    appendFileSync(${JSON.stringify(log)}, JSON.stringify({ path: request.url, body: JSON.parse(text) }) + '\\n')
    response.statusCode = ${status}
    response.end('{"silenceID":"7","reason":"ServiceUnavailable","message":"no endpoints available"}')
  })
}).listen(process.argv[2], () => console.log('Starting to serve'))`

interface Asked {
  path: string
  body: any
}

const object = (apiVersion: string): Manifest[] => [
  { apiVersion, kind: 'Any', metadata: { name: 'any' } },
]
const measured = object('monitoring.coreos.com/v1')
const plain = object('v1')

/** What Alertmanager was asked by a deploy that ended so, and what was said. */
async function deploy(manifests: Manifest[], failure?: Failure, status = 200) {
  writeFileSync(log, '')
  const alerts = createDeployAlerts(there, manifests, 'deploy of release 4')
  const { said, error } = await withFakeKubectl(
    '',
    async () => {
      await alerts.silence()
      await alerts.end(failure)
    },
    apiServer(status),
  )
  assert.is(error, undefined)
  const lines = readFileSync(log, 'utf8').split('\n').filter(Boolean)
  return { said, asked: lines.map(line => JSON.parse(line) as Asked) }
}

const inSeconds = (time: string) => Math.round((Date.parse(time) - Date.now()) / 1000)
const path = (what: string) =>
  `/api/v1/namespaces/monitoring/services/alertmanager-operated:9093/proxy/api/v2/${what}`

test('an environment that is not measured is not spoken of', async () => {
  assert.equal((await deploy(plain, new Failure(exit.broken, 'Deploy', 'x'))).asked, [])
})

test('a deploy silences what restarts raise in its environment, and ends that when they have settled', async () => {
  const { asked, said } = await deploy(measured)
  assert.equal(
    asked.map(one => one.path),
    [path('silences'), path('silences')],
  )
  const [first, last] = asked.map(({ body }) => body)
  const [place, alerts] = first.matchers
  assert.equal([place.name, place.value, place.isEqual], ['environment', 'played', true])
  assert.ok(alerts.isRegex && alerts.value.split('|').includes('ProbeFailing'))
  assert.is(first.comment, 'deploy of release 4')
  assert.ok(inSeconds(first.endsAt) > 3500)
  // the same silence, or Alertmanager would begin another
  assert.equal([last.id, last.startsAt, last.matchers], ['7', first.startsAt, first.matchers])
  assert.ok(inSeconds(last.endsAt) > 290 && inSeconds(last.endsAt) <= 300)
  assert.is(said, '')
})

test('one that is put back told nobody else: one alert, and its restarts stay silenced', async () => {
  const { asked } = await deploy(measured, new Failure(exit.rolledBack, 'Watch', 'a crash loop'))
  assert.is(asked.length, 3)
  assert.ok(inSeconds(asked[1]!.body.endsAt) > 290)
  assert.is(asked[2]!.path, path('alerts'))
  const [{ labels, annotations }] = asked[2]!.body
  assert.equal([labels.alertname, labels.environment], ['DeployFailed', 'played'])
  assert.match(annotations.description, /deploy of release 4: .*a crash loop/)
})

test('one that could not be put back is silenced no longer, and one that tells people itself raises no alert', async () => {
  process.env.SLACK_WEBHOOK_URL = 'https://hooks.invalid/services/x'
  const { asked } = await deploy(measured, new Failure(exit.broken, 'Watch', 'a crash loop'))
  delete process.env.SLACK_WEBHOOK_URL
  assert.is(asked.length, 2)
  assert.ok(inSeconds(asked[1]!.body.endsAt) <= 30)
})

test('where Alertmanager does not answer that is a warning, once, and nothing more is asked', async () => {
  const { asked, said } = await deploy(measured, undefined, 503)
  assert.is(asked.length, 1)
  assert.match(said, /Alerts are not silenced: .*no endpoints available/)
})

test('every alert that is silenced is there, and what no restart raises is not silenced', () => {
  const names = rules.map(nameOf)
  assert.equal(
    restartAlerts.filter(name => !names.includes(name)),
    [],
  )
  for (const name of ['DeployFailed', 'Watchdog', 'HostDiskFull', 'CertificateExpiring'])
    assert.not.ok(restartAlerts.includes(name), name)
})

test('the marker of a start is a metric with the release, how it ended and when', () => {
  assert.match(
    formatMarker('4e81901', false, 1_700_000_000_900),
    '\nkgc_deploy_timestamp_seconds{release="4e81901",result="failed"} 1700000000\n',
  )
})

test.run()
