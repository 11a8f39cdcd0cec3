// What rules name is served by the versions that are pinned, in production and in the demo.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { nameOf, rules } from '../alerts.ts'
import { repository } from '../sandbox.ts'
import { components, findUnknownSeries } from '../series.ts'

const test = suite('series')
const recorded = rules.flatMap(({ record }) => record ?? [])

test('every series that a rule names is in the pinned version and in that of the demo', () => {
  const unknown = rules.flatMap(rule =>
    findUnknownSeries(rule.expr, recorded).map(name => `${nameOf(rule)}: ${name}`),
  )
  assert.equal(unknown, [])
})

test('a name that a version renamed is unknown, and one that nothing serves', () => {
  const expression =
    'pg_replication_slots_wal_status + pg_replication_slot_wal_status + pg_upp + pg_up'
  assert.equal(findUnknownSeries(expression, []), [
    'pg_replication_slots_wal_status',
    'pg_replication_slot_wal_status',
    'pg_upp',
  ])
})

test('the versions whose series were read are those that are pinned', () => {
  const read = (file: string) => readFileSync(join(repository, file), 'utf8')
  assert.match(
    read('infra/docker/traefik/docker-compose.yml'),
    `image: traefik:v${components.traefik?.production.version}@`,
  )
  assert.match(read('infra/demo/build.sh'), `version=${components.traefik?.demo.version} `)
  assert.match(
    read('infra/demo/monitoring/cadvisor.sh'),
    `version=${components.cadvisor?.demo.version} `,
  )
  const pinned = (file: string, image: string) => {
    const version = components[image.replaceAll('-', '_')]?.production.version
    assert.match(
      read(`infra/monitoring/${file}`),
      new RegExp(`/${image}:v${version}(-alpine)?@sha256:`),
    )
  }
  for (const image of [
    'prometheus',
    'alertmanager',
    'node-exporter',
    'cadvisor',
    'blackbox-exporter',
  ])
    pinned(`${image}/docker-compose.yml`, image)
  for (const image of ['postgres-exporter', 'redis_exporter']) pinned('stores/common.yml', image)
})

test('a table of the components: versions, and series that one of them alone has', () => {
  for (const [name, { production, demo, series }] of Object.entries(components)) {
    const one = (version: string) =>
      Object.keys(series)
        .filter(key => series[key]?.only === version)
        .join(', ') || 'none'
    console.log(
      `  ${name.padEnd(18)} ${production.version} (read: ${production.read}), alone: ${one('production')}; demo ${demo.version}, alone: ${one('demo')}`,
    )
    assert.ok(Object.values(series).every(({ file }) => file.endsWith('.go')))
  }
})

test.run()
