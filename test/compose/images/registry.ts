// A real OCI registry (distribution) for a test: TLS by an authority of its own, log-in by
// htpasswd. Docker verifies certificates everywhere but on 127.0.0.0/8, so it stands at the address
// of Docker's bridge.
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { createHash, randomUUID } from 'node:crypto'
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { repository } from '../../sandbox.ts'
import { readTypeScript } from '../../node.ts'
import { compiled } from '../../tools.ts'
import { addressOf } from './bridge.ts'

export const docker = (...argv: string[]) =>
  execFileSync('docker', argv, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim()

export const address = addressOf(
  JSON.parse(docker('network', 'inspect', 'bridge', '--format', '{{json .IPAM}}')),
)
export const folder = mkdtempSync(join(tmpdir(), 'kgc-images-'))
export const authority = join(folder, 'ca.crt')
const image = `kgc-test/registry-of:${process.pid}`
const trusted: string[] = []

/** The users and their passwords; hashed below. */
export const users = { writer: 'writer-password', reader: 'reader-password' }
const htpasswd = `writer:$2b$04$YdUDoSvTxyZ.8uquyFCvau1X9RTnYL9RbaFiHYidyUfjSAhscRfma
reader:$2b$04$ne5F.6ohP9wt9893WNvJ7.ironRtywCGIPh3kk9zoaI6/XygQRYNK
`

const settings = `
version: 0.1
log: { level: warn, accesslog: { disabled: false } }
storage: { filesystem: { rootdirectory: /var/lib/registry }, delete: { enabled: true } }
auth: { htpasswd: { realm: test, path: /etc/registry/htpasswd } }
http: { addr: ":5000", secret: test, relativeurls: true, tls: { certificate: /etc/registry/tls.crt, key: /etc/registry/tls.key } }
`

/** Makes the certificate and the image, once. */
export function prepare(): void {
  execFileSync(join(repository, 'test/cluster/engine/build.sh'), ['registry'], { stdio: 'ignore' })
  const names = ['-subj', '/CN=kgc-test', '-addext', `subjectAltName=IP:${address}`]
  const kind = [
    '-x509',
    '-newkey',
    'rsa:2048',
    '-nodes',
    '-days',
    '2',
    '-keyout',
    'tls.key',
    '-out',
    'tls.crt',
  ]
  execFileSync('openssl', ['req', ...kind, ...names], { cwd: folder, stdio: 'ignore' })
  copyFileSync(join(folder, 'tls.crt'), authority)
  writeFileSync(join(folder, 'htpasswd'), htpasswd)
  writeFileSync(join(folder, 'config.yml'), settings)
  for (const name of ['tls.key', 'tls.crt', 'htpasswd', 'config.yml'])
    chmodSync(join(folder, name), 0o644)
  chmodSync(folder, 0o755)
  const dockerfile =
    'FROM scratch\nCOPY registry /registry\nENTRYPOINT ["/registry", "serve", "/etc/registry/config.yml"]\n'
  const build = [
    'buildx',
    'build',
    '--quiet',
    '--tag',
    image,
    '--file',
    '-',
    compiled('registry', 'distribution'),
  ]
  execFileSync('docker', build, { input: dockerfile, stdio: ['pipe', 'ignore', 'ignore'] })
}

/** Docker's trust in the authority for a host is a file of root's; the engine writes it. */
export function trust(host: string, on = true): void {
  const place = `/docker/certs.d/${host}`
  const script = on
    ? `mkdir -p ${place} && cat > ${place}/ca.crt`
    : `rm -rf ${place}; rmdir /docker/certs.d 2>/dev/null || true`
  const argv = [
    'run',
    '--rm',
    '--interactive',
    '--network',
    'none',
    '--volume',
    '/etc/docker:/docker',
    'kgc-demo/base:trixie',
    'sh',
    '-c',
    script,
  ]
  execFileSync('docker', argv, { input: readFileSync(authority) })
  if (on) trusted.push(host)
}

export interface Registry {
  host: string
  /** The requests since the last call, as `METHOD path status`. */
  requests: () => string[]
  kill: () => void
  start: () => void
}

/** Starts a registry on a port of the bridge; `space` limits what it can hold. */
export function registry(port: number, space?: string): Registry {
  const name = `kgc-test-registry-${port}`
  const host = `${address}:${port}`
  spawnSync('docker', ['rm', '--force', '--volumes', name], { stdio: 'ignore' })
  const room = space ? ['--tmpfs', `/var/lib/registry:size=${space}`] : []
  const files = [
    '--volume',
    `${folder}:/etc/registry:ro`,
    '--env',
    'OTEL_TRACES_EXPORTER=none',
    ...room,
  ]
  const answers = `until openssl s_client -connect ${host} </dev/null >/dev/null 2>&1; do sleep 0.1; done`
  const answering = () => void execFileSync('timeout', ['60', 'sh', '-c', answers])
  docker('run', '--detach', '--name', name, '--publish', `${host}:5000`, ...files, image)
  answering()
  process.once('exit', () =>
    spawnSync('docker', ['rm', '--force', '--volumes', name], { stdio: 'ignore' }),
  )
  let seen = 0
  const requests = () => {
    const all = spawnSync('docker', ['logs', name], { encoding: 'utf8' })
    const found = `${all.stdout}${all.stderr}`.matchAll(/"(\w+) (\S+) HTTP\/[\d.]+" (\d+)/g)
    const lines = [...found].map(([, method, path, status]) => `${method} ${path} ${status}`)
    return lines.slice(seen, (seen = lines.length))
  }
  return {
    host,
    requests,
    kill: () => docker('kill', name),
    start: () => {
      docker('start', name)
      return answering()
    },
  }
}

/**
 * Starts the proxy that refuses, before a registry. Out: its host, and how it is told what to
 * refuse.
 */
export async function proxy(
  port: number,
  { host }: Registry,
): Promise<{ host: string; rules: (json: object) => void; end: () => void }> {
  const child = spawn(process.execPath, [
    ...readTypeScript,
    join(import.meta.dirname, 'proxy.ts'),
    String(port),
    host,
    folder,
  ])
  process.once('exit', () => child.kill())
  await new Promise(ready => child.stdout.once('data', ready))
  const rules = (json: object) => writeFileSync(join(folder, 'proxy.json'), JSON.stringify(json))
  return { host: `${address}:${port}`, rules, end: () => void child.kill() }
}

/** Removes what `prepare` and `trust` made. */
export function clean(): void {
  for (const host of trusted) trust(host, false)
  const pushed = [
    ...new Set(trusted.flatMap(host => docker('images', '--quiet', `${host}/*/*`).split('\n'))),
  ].filter(Boolean)
  if (pushed.length) spawnSync('docker', ['image', 'rm', '--force', ...pushed], { stdio: 'ignore' })
  spawnSync('docker', ['image', 'rm', '--force', image], { stdio: 'ignore' })
  rmSync(folder, { recursive: true, force: true })
}

/** Logs in as one of the users, in a Docker configuration of its own. Out: DOCKER_CONFIG. */
export function logIn(user: keyof typeof users, ...hosts: string[]): string {
  const config = join(folder, `docker-${user}`)
  mkdirSync(config, { recursive: true })
  for (const host of hosts) {
    const argv = ['--config', config, 'login', host, '--username', user, '--password-stdin']
    execFileSync('docker', argv, { input: users[user], stdio: ['pipe', 'ignore', 'pipe'] })
  }
  return config
}

interface Answer {
  status: number
  headers: Record<string, unknown>
  digest: string
  body: string
}

/** Asks a registry itself. */
export function call(
  host: string,
  path: string,
  method = 'GET',
  body?: string,
  type = 'application/octet-stream',
): Promise<Answer> {
  const [hostname, port] = host.split(':')
  const accept =
    'application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json'
  const sent =
    body === undefined
      ? {}
      : { 'content-type': type, 'content-length': String(Buffer.byteLength(body)) }
  const options = {
    hostname,
    port,
    path: path.startsWith('/') ? path : `/v2/${path}`,
    method,
    ca: readFileSync(authority),
    auth: `writer:${users.writer}`,
  }
  return new Promise((resolve, reject) =>
    request({ ...options, headers: { accept, ...sent } }, response => {
      let text = ''
      response.on('data', data => (text += data))
      response.on('end', () =>
        resolve({
          status: response.statusCode!,
          headers: response.headers,
          digest: String(response.headers['docker-content-digest'] ?? ''),
          body: text,
        }),
      )
    })
      .on('error', reject)
      .end(body),
  )
}

/** Puts an image without layers into a registry. Out: its digest. */
export async function publish(
  host: string,
  name: string,
  tags: string[],
  created = '2026-01-01T00:00:00Z',
): Promise<string> {
  const config = JSON.stringify({
    architecture: 'amd64',
    os: 'linux',
    created,
    author: randomUUID(),
    rootfs: { type: 'layers', diff_ids: [] },
  })
  const digest = `sha256:${createHash('sha256').update(config).digest('hex')}`
  const { headers } = await call(host, `${name}/blobs/uploads/`, 'POST')
  await call(host, `${headers.location}&digest=${digest}`, 'PUT', config)
  const type = 'application/vnd.oci.image.manifest.v1+json'
  const part = {
    mediaType: 'application/vnd.oci.image.config.v1+json',
    digest,
    size: config.length,
  }
  const manifest = JSON.stringify({ schemaVersion: 2, mediaType: type, config: part, layers: [] })
  let last = ''
  for (const tag of tags) {
    const answer = await call(host, `${name}/manifests/${tag}`, 'PUT', manifest, type)
    if (answer.status !== 201)
      throw new Error(`${name}:${tag} is not taken: ${answer.status} ${answer.body}`)
    last = answer.digest
  }
  return last
}
