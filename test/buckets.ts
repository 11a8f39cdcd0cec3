// A server of buckets (versitygw) on this machine for a test, with a key for a host that may read and write.
import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { versitygw } from './tools.ts'
import { waitUntil } from './until.ts'

const users = { root: 'root-secret-of-the-bucket', host: 'host-secret-of-this-machine' }

export interface Buckets {
  port: number
  /** That of the host's key. */
  secret: string
  /** What env files or the shell say of it. */
  settings: Record<string, string>
  start: () => Promise<void>
  stop: () => Promise<void>
  /** A signed request. Out: the status, 0 where nobody answers, and the body. */
  request: (
    user: keyof typeof users,
    method: string,
    path: string,
    body?: string,
    ...headers: string[]
  ) => { code: number; text: string }
  /** A bucket in which the host's key may do what it likes; one that is `locked` can keep what it has. */
  make: (name: string, options?: { locked?: boolean }) => void
}

async function findPort(): Promise<number> {
  const free = createServer().listen(0, '127.0.0.1')
  await once(free, 'listening')
  const { port } = free.address() as AddressInfo
  free.close()
  return port
}

/** Serves buckets from `s3` in a folder until it is stopped, or the process ends. */
export async function serveBuckets(root: string): Promise<Buckets> {
  const [data, iam] = ['s3', 'iam'].map(name => join(root, name)) as [string, string]
  for (const folder of [data, iam]) mkdirSync(folder)
  const port = await findPort()
  const endpoint = `http://127.0.0.1:${port}`
  let gateway: ChildProcess | undefined
  process.once('exit', () => gateway?.kill())

  const request: Buckets['request'] = (user, method, path, body = '', ...headers) => {
    const sign = ['--aws-sigv4', 'aws:amz:us-east-1:s3', '--user', `${user}:${users[user]}`]
    const md5 = createHash('md5').update(body).digest('base64')
    const hash = createHash('sha256').update(body).digest('hex')
    const own = [`Content-MD5: ${md5}`, `x-amz-content-sha256: ${hash}`, ...headers]
    const argv = [
      ...['-s', '-X', method, ...sign, '-w', '\n%{http_code}', '--data-binary', body],
      ...own.flatMap(one => ['-H', one]),
      `${endpoint}/${path}`,
    ]
    const text = execFileSync('sh', ['-c', 'exec curl "$@" || true', 'sh', ...argv], {
      encoding: 'utf8',
    })
    const lines = text.split('\n')
    return { code: Number(lines.pop()), text: lines.join('\n') }
  }
  const start = async () => {
    const options = ['--port', `127.0.0.1:${port}`, '--iam-dir', iam, '--quiet', 'posix', data]
    const env = { ...process.env, ROOT_ACCESS_KEY: 'root', ROOT_SECRET_KEY: users.root }
    gateway = spawn(versitygw, options, { stdio: 'ignore', env })
    await waitUntil('versitygw', 30, () => request('root', 'GET', '').code !== 0)
  }
  await start()
  execFileSync(versitygw, [
    ...['admin', '--access', 'root', '--secret', users.root, '--endpoint-url', endpoint],
    ...['create-user', '--access', 'host', '--secret', users.host, '--role', 'user'],
  ])
  return {
    port,
    secret: users.host,
    settings: {
      BACKUP_S3_ENDPOINT: endpoint,
      BACKUP_S3_REGION: 'us-east-1',
      BACKUP_S3_ACCESS_KEY_ID: 'host',
      BACKUP_S3_SECRET_ACCESS_KEY: users.host,
    },
    start,
    stop: async () => {
      gateway?.kill()
      if (gateway) await once(gateway, 'close')
      gateway = undefined
    },
    request,
    make: (name, { locked = false } = {}) => {
      const lock = locked ? ['x-amz-bucket-object-lock-enabled: true'] : []
      assert.is(request('root', 'PUT', name, '', ...lock).code, 200)
      const policy = {
        Version: '2012-10-17',
        Statement: [
          {
            Effect: 'Allow',
            Principal: { AWS: ['host'] },
            Action: ['s3:ListBucket', 's3:GetObject', 's3:PutObject', 's3:DeleteObject'],
            Resource: [`arn:aws:s3:::${name}`, `arn:aws:s3:::${name}/*`],
          },
        ],
      }
      const allowed = request('root', 'PUT', `${name}?policy=`, JSON.stringify(policy))
      assert.ok([200, 204].includes(allowed.code), allowed.text)
    },
  }
}
