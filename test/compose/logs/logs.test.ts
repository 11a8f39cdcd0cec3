// Every container's log reaches Loki: the collector with its real configuration, and the strict
// stand-in for Loki with Loki's.
import { execFileSync } from 'node:child_process'
import { dirname, join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { constantDelays, pollUntil } from '../../../scripts/lib/retry.ts'
import { beforeAll } from '../../hooks.ts'
import { repository } from '../../sandbox.ts'
import { removeAll } from '../project.ts'

const test = suite('logs')
const project = 'kgc-test-logs'
removeAll(project)
process.once('exit', () => removeAll(project))

const docker = (argv: string[], input = '') =>
  execFileSync('docker', argv, { encoding: 'utf8', input, stdio: ['pipe', 'pipe', 'pipe'] }).trim()
const compose = (...argv: string[]) =>
  docker(['compose', '-f', join(import.meta.dirname, 'docker-compose.yml'), ...argv])
const container = (service: string) => `${project}-${service}-1`

/** Writes to the standard output of a service's first process. */
const write = (text: string, service = 'kgc-writer', stream = 1) =>
  docker(['exec', '-i', container(service), 'sh', '-c', `cat > /proc/1/fd/${stream}`], text)

const addressOf = (service: string) =>
  docker([
    ...['inspect', '--format', '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}'],
    container(service),
  ])

interface Stream {
  stream: Record<string, string>
  values: [string, string][]
}

async function get(service: string, path: string): Promise<string> {
  const answer = await fetch(`http://${addressOf(service)}:${path}`)
  if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`)
  return answer.text()
}

async function streams(query: string): Promise<Stream[]> {
  const path = `3100/loki/api/v1/query_range?limit=5000&query=${encodeURIComponent(query)}`
  return JSON.parse(await get('loki', path)).data.result
}

const linesOf = (found: Stream[]) => found.flatMap(({ values }) => values.map(([, line]) => line))

/** Asks Loki until it has as many lines of a query, for a minute. */
const linesWhen = (query: string, count: number) =>
  pollUntil(
    async () => linesOf(await streams(query).catch(() => [])),
    lines => lines.length >= count,
    constantDelays(300, 60_000),
  )

async function metric(service: string, path: string, name: string): Promise<number> {
  const line = (await get(service, path).catch(() => ''))
    .split('\n')
    .find(one => one.startsWith(name))
  return Number(line?.split(' ').at(-1) ?? 0)
}

beforeAll(test, async () => {
  execFileSync(join(repository, 'infra/demo/monitoring/logs.sh'), { stdio: 'ignore' })
  compose('up', '-d', '--quiet-pull')
  // without it each test would wait its minute for nothing
  const reads = () =>
    get('collector', '8888/metrics').then(
      () => true,
      () => false,
    )
  if (!(await pollUntil(reads, up => up, constantDelays(300, 60_000))))
    throw new Error(`The collector does not start:\n${compose('logs', '--tail', '5', 'collector')}`)
})

test('a line has three labels and no more, whatever its service is called; level, stream and container stand beside', async () => {
  write('{"level":"error","msg":"a JSON line"}\n')
  write('WARNING: a line of standard error\n', 'socket-proxy', 2)
  await linesWhen('{environment="test"} |= "line"', 2)
  const [json] = await streams('{service="kgc-writer"} |= "a JSON line"')
  const { level, stream, container: id, ...labels } = json!.stream
  assert.equal(labels, { application: 'kgc', service: 'kgc-writer', environment: 'test' })
  assert.equal([level, stream], ['error', 'stdout'])
  assert.match(docker(['inspect', '--format', '{{.Id}}', container('kgc-writer')]), `${id}`)
  const [text] = await streams('{application="traefik"} |= "line of standard error"')
  assert.equal([text!.stream.level, text!.stream.stream], ['warn', 'stderr'])
  const names = JSON.parse(await get('loki', '3100/loki/api/v1/labels')).data
  assert.equal(names, ['application', 'environment', 'service'])
})

test('every container of the project is there, the collector too, and none of another project', async () => {
  const services = ['collector', 'kgc-writer', 'loki', 'socket-proxy']
  for (const service of services) await linesWhen(`{service="${service}"}`, 1)
  const values = async (name: string) =>
    JSON.parse(await get('loki', `3100/loki/api/v1/label/${name}/values`)).data
  assert.equal(await values('service'), services)
  assert.equal(await values('application'), ['kgc', 'monitoring', 'traefik'])
})

// `canary` is what must not arrive; what stands after it must
const secrets = [
  'password=canary-1 kept',
  'DB_PASSWORD: canary-2 kept',
  '{"user":"x","password":"canary-3 with blanks","kept":1}',
  '{"message":"sent {\\"apiKey\\":\\"canary-4\\"} kept"}',
  'postgres://kgc:canary-5@kgc-db:5432/kgc kept',
  'Authorization: Bearer canary-6-abcdefgh kept',
  'authorization: Basic Y2FuYXJ5LTc6eHh4 kept',
  'token eyJhbGciOiJIUzI1NiJ9.eyJjYW5hcnkiOjh9.canary8abc kept',
  'https://hooks.slack.com/services/T0/B0/canary9 kept',
  'ghp_canary10abcdefghijklmnop kept',
  'twenty_secret="canary-11" kept',
  'redis://:canary-12@twenty-redis:6379 kept',
  '{"cookie":"session=canary-13; other=canary-16","kept":1}',
  'X-Api-Key: canary-14 kept',
  'login?access_token=canary-15&next=/kept',
]

test('secrets are masked and their lines kept', async () => {
  const marked = secrets.map((line, i) => (line.startsWith('{') ? line : `mask-${i} ${line}`))
  write(`${marked.join('\n')}\n`)
  const lines = await linesWhen('{service="kgc-writer"} |= "kept"', secrets.length)
  assert.is(lines.length, secrets.length)
  assert.equal(
    lines.filter(line => /canary|Y2FuYXJ5/.test(line)),
    [],
  )
  assert.is(lines.filter(line => line.includes('[masked')).length, secrets.length)
})

test('a line that the engine cut is whole again; one that Loki would refuse arrives in parts', async () => {
  write(`long ${'x'.repeat(100_000)} end\n`, 'socket-proxy')
  write(`huge ${'y'.repeat(400_000)} end\n`, 'socket-proxy')
  const [long] = await linesWhen('{service="socket-proxy"} |= "long xxx"', 1)
  assert.is(long?.length, 100_009)
  await linesWhen('{service="socket-proxy"} |~ "^y*y end$"', 1)
  const huge = await linesWhen('{service="socket-proxy"} |= "yyyy"', 2)
  assert.is(huge.join('').replace(/[^y]/g, '').length, 400_000)
  assert.not.match(await get('loki', '3100/metrics'), 'loki_discarded_samples_total')
})

test("a crash's last lines are there when its container is gone", async () => {
  const crash = 'echo starting; sleep 1; echo before the crash; echo last words >&2; exit 3'
  const run = ['run', '--rm', '--no-deps', '-T', 'kgc-writer', 'sh', '-c', crash]
  try {
    compose(...run)
    assert.unreachable('it should have failed')
  } catch (error) {
    assert.is((error as { status: number }).status, 3)
  }
  const lines = await linesWhen('{service="kgc-writer"} |~ "crash$|^last words$"', 2)
  assert.equal(lines.sort(), ['before the crash', 'last words'])
})

const numbered = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, i) => `n=${from + i} ${'.'.repeat(40)}\n`).join('')

/** The files of a container's log, with those that were rotated away. */
const logFiles = (service: string) => {
  const file = docker(['inspect', '--format', '{{.LogPath}}', container(service)])
  const look = ['run', '--rm', '--network=none', '-v', `${dirname(file)}:/log:ro`]
  return docker([...look, 'kgc-demo/base:trixie', 'ls', '/log']).match(/-json\.log\S*/g) ?? []
}

const accepted = () => metric('collector', '8888/metrics', 'otelcol_receiver_accepted_log_records')

const acceptedMore = async (than: number) =>
  assert.ok(
    (await pollUntil(accepted, count => count > than, constantDelays(300, 30_000))) > than,
    'the collector reads nothing more',
  )

/** Comes when the collector has read so many lines and written down how far it is: when the look after that has found something new. */
async function readAll(lines: number): Promise<void> {
  await acceptedMore(lines - 1)
  for (const marker of ['first', 'second']) {
    const before = await accepted()
    write(`${marker} marker\n`)
    await acceptedMore(before)
  }
}

test('no line is missing and none is there twice: collector killed, Loki away, files rotated', async () => {
  // about 220 bytes a line in the file: what is not read yet stays below the two full files that are surely there
  write(numbered(0, 300))
  docker(['kill', '--signal', 'KILL', container('collector')])
  write(numbered(300, 1700))
  docker(['kill', '--signal', 'KILL', container('loki')])
  docker(['start', container('collector')])
  write(numbered(1700, 2000))
  await readAll(1700)
  const queued = await metric('collector', '8888/metrics', 'otelcol_exporter_queue_size{')
  assert.ok(queued > 0, 'nothing waits for Loki')
  docker(['kill', '--signal', 'KILL', container('collector')])
  write(numbered(2000, 3000))
  docker(['start', container('collector'), container('loki')])
  const lines = await linesWhen('{service="kgc-writer"} |~ "^n=[0-9]+ "', 3000)
  const numbers = lines.map(line => Number(/^n=(\d+) /.exec(line)![1]))
  const missing = Array.from({ length: 3000 }, (_, i) => i).filter(i => !numbers.includes(i))
  assert.equal(missing, [], 'missing')
  assert.is(numbers.length, 3000, 'none is there twice')
  assert.is(logFiles('kgc-writer').length, 3, 'the log was rotated twice')
  const repeated = await metric('loki', '3100/metrics', 'standin_repeated_lines_total')
  console.log(`lines that came again and were stored once: ${repeated}`)
})

test.run()
