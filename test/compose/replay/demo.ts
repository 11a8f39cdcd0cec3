// The whole demo with its monitoring, in which time runs ten times faster for the rules of Prometheus.
import { execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fullProject, type ComposeProject } from '../project.ts'

export interface Firing {
  labels: Record<string, string>
  state: string
}

export interface Demo extends ComposeProject {
  /** Runs a script of the shell in a service's container. */
  inside: (service: string, script: string, ...argv: string[]) => string
  /** Redis' answer to each command, as its application asks. */
  redis: (service: string, ...commands: string[]) => string
  /** The value of an expression; none where it has no series. */
  value: (expression: string) => number | undefined
  /** The alerts that fire. */
  firing: () => Firing[]
  /** Where a service is reached from here. */
  address: (service: string) => string
  /** A folder on a small disk of its own that the node exporter sees. */
  disk: string
  /** Runs it until the process ends, or the function that it returns is called. */
  background: (...argv: string[]) => () => void
  rules: string
  /** Of HTTPS. */
  port: number
}

const tenth = { s: 0.1, m: 6, h: 360, d: 8640 }
/** `[15m]` becomes `[90s]`, `offset 5h` `offset 1800s`, and every `for` 5 seconds. */
export function hasten(rules: string): string {
  const quick = (amount: string, unit: string) =>
    `${Math.max(20, Number(amount) * tenth[unit as keyof typeof tenth])}s`
  return rules
    .replace(/\[(\d+)([smhd])\]/g, (_, amount, unit) => `[${quick(amount, unit)}]`)
    .replace(/offset (\d+)([smhd])/g, (_, amount, unit) => `offset ${quick(amount, unit)}`)
    .replace(/^( +for:) \d+\w$/gm, '$1 5s')
}

/** A disk of 24 MB with 32 inodes, mounted until the process ends. Needs root. */
function mountDisk(): string {
  const folder = mkdtempSync(join(tmpdir(), 'kgc-replay-'))
  const [image, disk] = [join(folder, 'image'), join(folder, 'disk')]
  const script = `truncate -s 24M ${image} && mkfs.ext4 -q -N 32 ${image} && mkdir ${disk} && chmod 755 ${folder} && mount -o loop ${image} ${disk}`
  execFileSync('sh', ['-c', script], { stdio: ['ignore', 'ignore', 'pipe'] })
  process.once('exit', () => {
    execFileSync('umount', ['--lazy', disk])
    rmSync(folder, { recursive: true })
  })
  return disk
}

function change(file: string, ...changes: [string | RegExp, string][]): void {
  const text = readFileSync(file, 'utf8')
  const changed = changes.reduce((one, [from, to]) => one.replace(from, to), text)
  if (changed === text) throw new Error(`nothing to change in ${file}`)
  writeFileSync(file, changed)
}

/** Makes the copy; `up` is left to the test. */
export function makeDemo(name: string, port: number): Demo {
  const box = fullProject(name, port)
  const disk = mountDisk()
  const monitoring = join(box.root, 'infra/monitoring')
  const rules = join(monitoring, 'prometheus/rules')
  for (const file of readdirSync(rules))
    writeFileSync(join(rules, file), hasten(readFileSync(join(rules, file), 'utf8')))
  change(join(monitoring, 'docker-compose.demo.yml'), [
    'PROMETHEUS_INTERVAL: 15s',
    'PROMETHEUS_INTERVAL: 5s',
  ])
  // a notification counts as failed when its group's time is over
  change(join(monitoring, 'alertmanager/docker-compose.yml'), [
    /GROUP_(\w+): \$\{.*\}/g,
    'GROUP_$1: 5s',
  ])
  // Loki's own disk, so that it can be filled
  const tmpfs = '{ driver_opts: { type: tmpfs, device: tmpfs, o: "size=64m,uid=10001,gid=10001" } }'
  change(join(monitoring, 'loki/docker-compose.yml'), ['loki-data: {}', `loki-data: ${tmpfs}`])
  // nobody listens there
  change(join(monitoring, '.env.demo'), [
    /^MONITORING_WEBHOOK_URL=.*/m,
    'MONITORING_WEBHOOK_URL=http://127.0.0.1:9/',
  ])

  const inside = (service: string, script: string, ...argv: string[]) =>
    box.engine('exec', box.container(service), 'sh', '-c', script, 'sh', ...argv)
  const ask = (path: string) =>
    JSON.parse(inside('prometheus', 'wget -qO- -T 10 "$1"', `http://127.0.0.1:9090/api/v1/${path}`))
      .data
  return {
    ...box,
    disk,
    rules,
    port: port + 1,
    inside,
    redis: (service, ...commands) =>
      inside(
        service,
        'for one; do eval "set -- $one"; REDISCLI_AUTH=$REDIS_PASSWORD redis-cli "$@"; done',
        ...commands,
      ),
    address: service => {
      const format = '{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}'
      return box.engine('inspect', '--format', format, box.container(service)).split(' ')[0]!
    },
    value: expression => {
      const [found] = ask(`query?query=${encodeURIComponent(expression)}`).result
      return found && Number(found.value[1])
    },
    firing: () => ask('alerts').alerts.filter(({ state }: Firing) => state === 'firing'),
    background: (...argv) => {
      const child = spawn(argv[0]!, argv.slice(1), { stdio: 'ignore', detached: true })
      const end = () => {
        try {
          process.kill(-child.pid!)
        } catch {
          // it has ended
        }
      }
      process.once('exit', end)
      return end
    },
  }
}
