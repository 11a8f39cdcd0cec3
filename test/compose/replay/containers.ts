// Faults of applications, containers and the host.
import { spawnSync } from 'node:child_process'
import { readdirSync, rmSync } from 'node:fs'
import { cpus } from 'node:os'
import { join } from 'node:path'
import type { Demo } from './demo.ts'
import { stop, type Fault } from './fault.ts'

const curl = (...argv: string[]) =>
  spawnSync('curl', ['-skZ', '--max-time', '30', '-o', '/dev/null', ...argv], { stdio: 'ignore' })
const limitsOf = (demo: Demo, service: string) =>
  demo
    .engine(
      'inspect',
      '--format',
      '{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}}',
      demo.container(service),
    )
    .split(' ')
    .map(Number) as [number, number]
let before: [number, number] = [0, 0]
let spinning: (() => void)[] = []

export const containers: Fault[] = [
  {
    alerts: {
      RequestsFailing: { labels: { app: 'kgc' }, shows: /500|5xx|kgc-api/ },
      RequestsFailingLowTraffic: { labels: { app: 'kgc' }, shows: /500|5xx|kgc-api/ },
    },
    again: async demo =>
      void curl(
        ...['-d', 'null', '-H', 'content-type: application/json'],
        `https://api.kgc.localhost:${demo.port}/api/v1/webhooks/twenty?[1-20]`,
      ),
  },
  {
    alerts: { ResponsesSlow: { labels: { app: 'horilla' }, shows: /traefik/ } },
    again: async demo => {
      const id = demo.container('horilla-web')
      demo.background('sh', '-c', `docker pause ${id}; sleep 4; docker unpause ${id}`)
      curl(`https://hr.kgc.localhost:${demo.port}/login/?[1-40]`)
    },
  },
  {
    alerts: {
      ContainerOutOfMemory: { labels: { service: 'kgc-web' }, shows: /kgc-web/ },
      HostOutOfMemory: { shows: /out of memory|oom/i },
    },
    again: async (demo, round) => {
      if (round % 4 === 0)
        spawnSync('docker', ['exec', demo.container('kgc-web'), 'tail', '/dev/zero'], {
          stdio: 'ignore',
        })
    },
  },
  {
    alerts: {
      ContainerMemoryNearLimit: {
        labels: { service: 'horilla-scheduler' },
        shows: /horilla-scheduler.* 9\d\.\d+%/,
      },
    },
    make: demo => {
      before = limitsOf(demo, 'horilla-scheduler')
      const used = demo.value('container_memory_working_set_bytes{service="horilla-scheduler"}')!
      demo.engine(
        'update',
        '--memory',
        `${Math.ceil(used / 0.94)}`,
        demo.container('horilla-scheduler'),
      )
    },
    mend: demo =>
      void demo.engine('update', '--memory', `${before[0]}`, demo.container('horilla-scheduler')),
  },
  {
    alerts: {
      ContainerCpuHigh: { labels: { service: 'kgc-web' }, shows: /kgc-web/ },
      HostCpuHigh: { shows: /load average/ },
    },
    make: demo => {
      demo.engine('update', '--cpus', '0.1', demo.container('kgc-web'))
      demo.engine('exec', '--detach', demo.container('kgc-web'), 'sh', '-c', 'while :; do :; done')
      spinning = cpus().map(() =>
        demo.background('nice', '-n', '19', 'sh', '-c', 'while :; do :; done'),
      )
    },
    mend: demo => {
      for (const end of spinning) end()
      demo.engine('update', '--cpus', '1', demo.container('kgc-web'))
      demo.engine('restart', demo.container('kgc-web'))
    },
  },
  {
    alerts: {
      HostDiskFull: { labels: { mountpoint: /kgc-replay/ }, shows: /(9\d|100)% .*kgc-replay/ },
      HostInodesFull: { labels: { mountpoint: /kgc-replay/ }, shows: /kgc-replay/ },
    },
    make: ({ disk }) => {
      for (let i = 0; i < 21; i++) spawnSync('touch', [join(disk, `${i}`)])
      spawnSync('dd', ['if=/dev/zero', `of=${join(disk, '0')}`, 'bs=1M'], { stdio: 'ignore' })
    },
    mend: ({ disk }) =>
      readdirSync(disk).forEach(name => rmSync(join(disk, name), { recursive: true })),
  },
]

/** What is away. */
export const stopped: Fault[] = [
  {
    alerts: { DatabaseDown: { labels: { app: 'kgc' }, shows: /kgc-db.*Exited/ } },
    make: stop('kgc-db'),
  },
  {
    alerts: { RedisDown: { labels: { app: 'twenty' }, shows: /twenty-redis.*Exited/ } },
    make: stop('twenty-redis'),
  },
  {
    alerts: { ProbeFailing: { labels: { app: 'horilla' }, shows: /horilla-web.*Exited/ } },
    make: stop('horilla-web'),
  },
  {
    alerts: {
      TargetGone: {
        labels: { instance: 'horilla-postgres-exporter' },
        shows: /horilla-postgres-exporter.*Exited/,
      },
    },
    make: stop('horilla-postgres-exporter'),
  },
  { alerts: { LogsNotDelivered: { shows: /loki.*Exited/ } }, make: stop('loki') },
  {
    alerts: { ContainerGone: { labels: { service: 'chatwoot-sidekiq' }, shows: /./ } },
    make: demo => void demo.engine('rm', '--force', demo.container('chatwoot-sidekiq')),
  },
  {
    alerts: { HostDown: { shows: /node-exporter.*Paused/ } },
    make: demo => void demo.engine('pause', demo.container('node-exporter')),
    mend: demo => void demo.engine('unpause', demo.container('node-exporter')),
  },
]
