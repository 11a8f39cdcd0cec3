// The limit of Loki's files: the real sweeper with the stand-in for Loki, on a disk of 64 MB.
import { execFileSync } from 'node:child_process'
import { chmodSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { beforeAll } from '../../hooks.ts'
import { encodeLogs } from '../../otlp.ts'
import { repository } from '../../sandbox.ts'
import { waitUntil } from '../../until.ts'
import { removeAll } from '../project.ts'

const test = suite('limit')
const project = 'kgc-test-log-limit'
removeAll(project)
process.once('exit', () => removeAll(project))

const folder = mkdtempSync(join(tmpdir(), 'kgc-limit-'))
const config = join(folder, 'config.yaml')
const file = join(import.meta.dirname, 'docker-compose.limit.yml')
const docker = (...argv: string[]): string =>
  execFileSync('docker', argv, {
    encoding: 'utf8',
    env: { ...process.env, CONFIG: config },
    stdio: ['ignore', 'pipe', 'pipe'],
  }).trim()
const inSweeper = (script: string): string =>
  docker('exec', `${project}-monitoring-log-sweeper-1`, 'sh', '-c', script)
const usedMb = (): number => Number(inSweeper('du -sm /loki').split('\t')[0])

const now = Date.now()
const dayMs = 86_400_000
const day = (age: number): number => Math.floor(now / dayMs) - age
/** The days that Loki's index has. */
const days = (): number[] =>
  inSweeper('ls /loki/chunks/index')
    .split('\n')
    .map(name => Number(name.replace('index_', '')))

let address = ''
const resource = { application: 'kgc', service: 'kgc-api', environment: 'test' }
/** Brings 2 MB of a time; the answer. Waits while Loki takes no more of a second. */
const push = (ms: number) =>
  waitUntil('room', 30, async () => {
    const lines = Array.from({ length: 10 }, (_, i): [string, number] => [
      `${ms} ${i} ${'x'.repeat(200_000)}`,
      ms + i,
    ])
    const { status } = await fetch(`${address}/otlp/v1/logs`, {
      method: 'POST',
      headers: { 'content-type': 'application/x-protobuf' },
      body: new Uint8Array(encodeLogs(resource, lines)),
    })
    return status === 429 ? 0 : status
  })
async function pushDay(age: number, megabytes: number): Promise<Set<number>> {
  const answers = new Set<number>()
  for (let i = 0; i < megabytes; i += 2)
    answers.add(await push(day(age) * dayMs + dayMs / 2 + i * 1000))
  return answers
}
/** How many lines of a day Loki finds. */
async function found(age: number): Promise<number> {
  const [start, end] = [day(age) * dayMs, day(age - 1) * dayMs].map(ms => `${ms}000000`)
  const query = encodeURIComponent('{service="kgc-api"}')
  const answer = await fetch(
    `${address}/loki/api/v1/query_range?query=${query}&limit=5000&start=${start}&end=${end}`,
  )
  const { data } = (await answer.json()) as { data: { result: { values: unknown[] }[] } }
  return data.result.flatMap(({ values }) => values).length
}

beforeAll(test, async () => {
  execFileSync(join(repository, 'infra/demo/monitoring/logs.sh'), { stdio: 'ignore' })
  chmodSync(folder, 0o755)
  const real = readFileSync(join(repository, 'infra/monitoring/loki/config.yaml'), 'utf8')
  const quick = real
    .replace('compaction_interval: 10m', 'compaction_interval: 1s')
    .replace('retention_delete_delay: 10m', 'retention_delete_delay: 1s')
  assert.is.not(quick, real)
  writeFileSync(config, quick)
  docker('compose', '-f', file, 'up', '--detach', '--wait')
  const network = '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}'
  address = `http://${docker('inspect', '--format', network, `${project}-loki-1`)}:3100`
})

test('below the limit nothing is deleted', async () => {
  for (const age of [9, 8, 7]) assert.equal([...(await pushDay(age, 8))], [204])
  const looked = inSweeper('date -r /tmp/looked +%s')
  await waitUntil(
    'two looks',
    30,
    () => Number(inSweeper('date -r /tmp/looked +%s')) > Number(looked) + 1,
  )
  assert.equal(days(), [day(9), day(8), day(7)])
})

test('more than the disk holds is taken all the same: the oldest days go, each as a whole, and the newest stay', async () => {
  for (const age of [6, 5, 4, 3, 2, 1]) {
    assert.equal([...(await pushDay(age, 8))], [204], `day ${age}`)
    await waitUntil('room', 60, () => usedMb() <= 40)
  }
  assert.is(await found(1), 40)
  assert.is(await found(9), 0)
  const left = days()
  assert.equal(
    left,
    left.map((_, i) => day(left.length - i)),
  )
  assert.ok(left.length >= 3, `${left.length} days are left`)
})

test.run()
