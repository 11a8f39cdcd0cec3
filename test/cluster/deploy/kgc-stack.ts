// KGC of the demo with a database, a Redis and two pods of its API, its passwords sealed; and those who ask
// it all the time.
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'dotenv'
import { apply, get, kubectl, registry, sealSecret, tool } from '../cluster.ts'
import { buildOverlay, copy, podOf, type Json } from '../manifests.ts'

const redisImage = `${registry}/kgc-demo/redis:8`
const hashed = (name: string) => new RegExp(`${name}-[0-9a-z]{10}\\b`, 'g')

/**
 * Its objects but for its Secret, and a reader of its Redis that counts refused and lost answers in the Redis
 * `alpha`.
 */
export function kgcObjects(space: string, env: Record<string, string> = {}): Json[] {
  const all = buildOverlay({ namespace: space, resources: ['../demo'] }).filter(
    ({ kind, metadata: { name, labels = {} } }) =>
      (/^(stack-|postgres-init$)/.test(name) ||
        (labels['app.kubernetes.io/part-of'] ?? name).startsWith('kgc')) &&
      !/Ingress|Autoscaler|Budget|Policy|Secret/.test(kind) &&
      !/kgc-(web|admin|nginx)/.test(name),
  )
  const text = JSON.stringify(all).replace(hashed('kgc-secrets'), 'kgc-secrets')
  const objects = JSON.parse(text) as Json[]
  for (const one of objects)
    if (one.metadata.name === 'kgc-api' && one.kind === 'Deployment') one.spec.replicas = 2
  return [...objects, redisReader(objects, env)]
}

function redisReader(objects: Json[], env: Record<string, string>): Json {
  const api = objects.find(
    ({ kind, metadata }) => kind === 'Deployment' && metadata.name === 'kgc-api',
  )!
  const { securityContext } = podOf(api).containers[0]
  const ask = `while :; do said=$(REDISCLI_AUTH=$PASSWORD redis-cli --no-auth-warning -h kgc-redis ping 2>&1)
case $said in PONG) key=good ;; *WRONGPASS*|*NOAUTH*) key=refused ;; *) key=away ;; esac
redis-cli -h alpha incr $key >/dev/null; sleep 0.2; done`
  const container = {
    ...{ name: 'asker', image: redisImage, command: ['sh', '-c', ask], securityContext },
    env: [
      ...Object.entries(env).map(([name, value]) => ({ name, value })),
      {
        name: 'PASSWORD',
        valueFrom: { secretKeyRef: { name: 'kgc-secrets', key: 'KGC_REDIS_PASSWORD' } },
      },
    ],
  }
  const labels = { 'app.kubernetes.io/name': 'asker' }
  return {
    ...{ apiVersion: 'apps/v1', kind: 'Deployment' },
    metadata: { name: 'asker', annotations: { 'kgc.hu/order': 'application' } },
    spec: {
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: {
          terminationGracePeriodSeconds: 3,
          securityContext: { runAsNonRoot: true, runAsUser: 999 },
          containers: [container],
        },
      },
    },
  }
}

/** Its secrets, those of the demo's env file; `rotate` gives other values, and seals those keys alone again. */
export function kgcSecrets(space: string) {
  const all = parse(readFileSync(join(copy.docker, 'kgc/.env.demo'), 'utf8'))
  let values = Object.fromEntries(
    Object.entries(all).filter(([key, value]) => value && /PASSWORD|SECRET|_KEY|LOGIN/.test(key)),
  )
  const seal = (some: Record<string, string>) => sealSecret(space, 'kgc-secrets', some)
  const object = seal(values)
  object.metadata.annotations = { 'kgc.hu/order': 'data' }
  return {
    /** The SealedSecret. */
    object,
    values: () => values,
    rotate() {
      const login = values.KGC_DB_LOGIN === 'kgc_a' ? 'kgc_b' : 'kgc_a'
      const [database, redis] = [1, 2].map(() => randomBytes(24).toString('hex')) as [
        string,
        string,
      ]
      const changed = { KGC_DB_LOGIN: login, KGC_DB_PASSWORD: database, KGC_REDIS_PASSWORD: redis }
      values = { ...values, ...changed }
      Object.assign(object.spec.encryptedData, seal(changed).spec.encryptedData)
    },
  }
}

/** A pod beside the release that asks the API for rows five times a second, each time by a new connection. */
export function askApi(space: string): { lost: () => string[]; asked: () => number } {
  const program = `const { get } = require('node:http')
let asked = 0
setInterval(() => {
  const lost = why => console.log('lost', new Date().toISOString(), why)
  get('http://kgc-api:3000/api/v1/tenants', { agent: false, timeout: 10000 }, answer => {
    answer.resume()
    if (answer.statusCode !== 200) lost(answer.statusCode)
    else if (++asked % 5 === 0) console.log('asked', asked)
  }).on('error', error => lost(error.message)).on('timeout', function () { this.destroy(new Error('no answer')) })
}, 200)`
  const image = `${registry}/kgc-demo/kgc-api:demo`
  const command = ['/opt/standin/bin/nodejs', '-e', program]
  apply({
    ...{ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'client', namespace: space } },
    spec: { terminationGracePeriodSeconds: 1, containers: [{ name: 'client', image, command }] },
  })
  const lines = () =>
    // it may not run yet
    kubectl(['logs', 'client', '--namespace', space], { nothrow: true }).split('\n')
  return {
    lost: () => lines().filter(line => line.startsWith('lost')),
    asked: () =>
      Number(
        lines()
          .findLast(line => line.startsWith('asked'))
          ?.split(' ')[1] ?? 0,
      ),
  }
}

/** What servers let in, asked over the network in their own pods. */
export function letsIn(space: string, login: string, password: string): boolean {
  const script = login
    ? `read -r PGPASSWORD; export PGPASSWORD; exec psql -qtAXw -h "$HOSTNAME" -U ${login} -d kgc -c 'SELECT 1'`
    : 'read -r REDISCLI_AUTH; export REDISCLI_AUTH; redis-cli --no-auth-warning ping | grep -q PONG'
  const pod = login ? 'kgc-db-0' : 'kgc-redis-0'
  const argv = ['exec', '--stdin', pod, '--namespace', space, '--', 'sh', '-c', script]
  return tool('kubectl', argv, { input: `${password}\n`, nothrow: true }).code === 0
}

/** How often the reader of Redis was answered, refused, and met nobody. */
export function redisCounts(space: string): Record<'good' | 'refused' | 'away', number> {
  const said = kubectl([
    'exec',
    'deploy/alpha',
    '--namespace',
    space,
    '--',
    'redis-cli',
    'mget',
    'good',
    'refused',
    'away',
  ]).split('\n')
  const [good = 0, refused = 0, away = 0] = said.slice(0, 3).map(Number)
  return { good, refused, away }
}

/** The classes of priority that its pods name. */
export function makePriorities(): void {
  const names = get('priorityclasses').items.map(({ metadata }: Json) => metadata.name)
  if (!names.includes('kgc-data'))
    kubectl(['apply', '--filename', join(copy.root, 'infra/k8s/cluster/priorities.yaml')])
}
