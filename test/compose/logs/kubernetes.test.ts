// The kubelet's log files: whose a line is stands in the file's name, and the same patterns mask it
// as on Compose. The collector runs with both its files, and a receiver plays Loki.
import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { stringify } from 'yaml'
import { repository } from '../../sandbox.ts'
import { collector } from '../../tools.ts'
import { waitUntil } from '../../until.ts'

type Json = Record<string, any>

const test = suite('logs on Kubernetes')
const box = mkdtempSync(join(tmpdir(), 'kgc-kubelet-'))
process.once('exit', () => rmSync(box, { recursive: true, force: true }))
const time = '2026-11-29T10:00:00.123456789Z'

/** By the folder and file that the kubelet gives a container's log, its lines. */
const files: Record<string, string[]> = {
  'kgc-production_kgc-api-7d9f8b6c5d-x2x4z_1111-aa/kgc-api/0.log': [
    'stdout F {"level":"error","msg":"no","password":"hunter2hunter2"}',
    'stderr P cut after 16 KB, ',
    'stderr F and its end',
  ],
  'kgc-staging_twenty-db-0_2222-bb/postgres/3.log': ['stderr F FATAL:  no more connections'],
  'kgc-demo_chatwoot-prepare-x2x4z_3333-cc/prepare/0.log': ['stdout F done'],
  'traefik_traefik-6c5d7d9f8b-zz2zz_4444-dd/traefik/0.log': ['stdout F started'],
  'kube-system_coredns-0_5555-ee/coredns/0.log': ['stdout F not ours'],
}
for (const [file, lines] of Object.entries(files)) {
  mkdirSync(join(box, 'pods', file, '..'), { recursive: true })
  writeFileSync(join(box, 'pods', file), lines.map(line => `${time} ${line}\n`).join(''))
}

const text = ({ attributes }: Json): string =>
  attributes
    .map(({ key, value }: Json) => `${key}=${value.stringValue}`)
    .sort()
    .join(' ')

test('every line has its three labels, whole and masked; what is not ours is left', async () => {
  const received: string[] = []
  const loki = createServer((request, response) => {
    let body = ''
    request.on('data', (part: Buffer) => (body += part))
    request.on('end', () => {
      for (const { resource, scopeLogs } of JSON.parse(body).resourceLogs as Json[])
        for (const record of scopeLogs.flatMap(({ logRecords }: Json) => logRecords) as Json[])
          received.push(`${text(resource)} | ${record.body.stringValue} | ${text(record)}`)
      response.setHeader('content-type', 'application/json')
      response.end('{}')
    })
  })
  await new Promise<void>(done => loki.listen(0, '127.0.0.1', done))
  const { port } = loki.address() as AddressInfo
  const here = {
    extensions: {
      file_storage: { directory: join(box, 'data') },
      health_check: { endpoint: '127.0.0.1:0' },
    },
    receivers: {
      file_log: {
        include: ['kgc-*_*', 'traefik_*'].map(pods => join(box, 'pods', pods, '*/*.log*')),
      },
    },
    exporters: {
      otlp_http: { endpoint: `http://127.0.0.1:${port}`, encoding: 'json', compression: 'none' },
    },
    service: { telemetry: { metrics: { level: 'none', readers: [] } } },
  }
  writeFileSync(join(box, 'here.yaml'), stringify(here))
  const folder = join(repository, 'infra/monitoring/collector')
  const configs = [
    join(folder, 'config.yaml'),
    join(folder, 'kubernetes.yaml'),
    join(box, 'here.yaml'),
  ]
  const running = spawn(
    collector,
    [...configs.map(file => `--config=${file}`), '--feature-gates=stanza.synchronousLogEmitter'],
    { stdio: 'ignore' },
  )
  try {
    await waitUntil('five lines', 60, () => received.length >= 5)
  } finally {
    running.kill()
    loki.close()
  }
  assert.equal(received.sort(), [
    'application=chatwoot environment=demo service=chatwoot-prepare | done | container=prepare stream=stdout',
    'application=kgc environment=production service=kgc-api | cut after 16 KB, and its end | container=kgc-api stream=stderr',
    'application=kgc environment=production service=kgc-api | {"level":"error","msg":"no","password":"[masked]"} | container=kgc-api level=error stream=stdout',
    'application=traefik environment=cluster service=traefik | started | container=traefik stream=stdout',
    'application=twenty environment=staging service=twenty-db | FATAL:  no more connections | container=postgres level=fatal stream=stderr',
  ])
})

test.run()
