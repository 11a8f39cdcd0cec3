// What a backup does on Kubernetes, without a cluster: the transport, the Jobs, the plan, the login.
import { spawnSync } from 'node:child_process'
import { createHmac, randomBytes } from 'node:crypto'
import { createReadStream, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { findUnreadyDatabases } from '../../scripts/lib/backup/kubernetes/backup.ts'
import { changeRecord } from '../../scripts/lib/backup/health/record.ts'
import { isEnvironmentHeld } from '../../scripts/lib/backup/kubernetes/held.ts'
import { createDatabaseJob, createVolumeJob } from '../../scripts/lib/backup/kubernetes/job.ts'
import { createScramVerifier } from '../../scripts/lib/backup/kubernetes/login.ts'
import {
  findForeignClaims,
  planEnvironment,
  readConfigValues,
  refuseOutside,
} from '../../scripts/lib/backup/kubernetes/plan.ts'
import { selectSecrets } from '../../scripts/lib/backup/kubernetes/settings.ts'
import {
  measureRemoteFile,
  rangeBytes,
  readRemoteFile,
  writeRemoteFile,
  type PodShell,
} from '../../scripts/lib/backup/kubernetes/transport.ts'
import {
  readSecretValues,
  refuseOtherValues,
} from '../../scripts/lib/backup/restore/kept-values.ts'
import { quoteForPsql } from '../../scripts/lib/backup/kubernetes/restore-engine.ts'
import { describeEarlier } from '../../scripts/lib/backup/restore/earlier.ts'
import { findElsewhere, type PlannedVolume } from '../../scripts/lib/backup/plan.ts'
import { findHeldBack } from '../../scripts/lib/deploy/preflight/held-back.ts'
import { Failure } from '../../scripts/lib/errors.ts'
import type { Manifest, Pod } from '../../scripts/lib/kubernetes/objects.ts'
import { findEnvironmentGoLive } from '../../scripts/lib/kubernetes/restored/held.ts'
import { readTypeScript } from '../node.ts'

const test = suite('backup on Kubernetes')
const folder = mkdtempSync(join(tmpdir(), 'kgc-pod-'))
process.once('exit', () => rmSync(folder, { recursive: true, force: true }))

const file = join(folder, 'dump')
const bytes = randomBytes(2 * rangeBytes + 12_345)
writeFileSync(file, bytes)

/** A pod's shell that is this machine's; `cut` says how many characters of an answer come through. */
const shellOf =
  (
    cut: (calls: number) => number = () => Number.POSITIVE_INFINITY,
    calls = { count: 0 },
  ): PodShell =>
  (script, words = [], input) => {
    const options = { encoding: 'utf8', maxBuffer: 64 * 1024 * 1024, input } as const
    const { stdout, stderr, status } = spawnSync('sh', ['-c', script, ...words], options)
    const came = stdout.slice(0, cut(++calls.count))
    return Promise.resolve({ stdout: came, stderr, code: status ?? 137, ms: 0 })
  }
const fetch = async (shell: PodShell): Promise<Buffer> => {
  const delays = [1, 1, 1]
  const parts = await readRemoteFile(shell, file, bytes.length, delays).toArray()
  return Buffer.concat(parts as Buffer[])
}

test('a file of a pod arrives as it is, range by range', async () => {
  assert.is(await measureRemoteFile(shellOf(), file), bytes.length)
  assert.ok((await fetch(shellOf())).equals(bytes))
})

test('a transport that cuts and ends with 0 is asked again, and refused where it always cuts', async () => {
  const calls = { count: 0 }
  const once = shellOf(call => (call === 2 ? 2000 : Number.POSITIVE_INFINITY), calls)
  assert.ok((await fetch(once)).equals(bytes))
  assert.is(calls.count, 4)
  try {
    await fetch(shellOf(call => (call > 1 ? 2000 : Number.POSITIVE_INFINITY)))
    assert.unreachable()
  } catch (error) {
    assert.instance(error, Failure)
    assert.is((error as Failure).code, 5)
    assert.match((error as Failure).why, new RegExp(`^14\\d\\d of ${rangeBytes} bytes arrived`))
  }
})

test('a large file takes no more memory than a small one', () => {
  const program = join(import.meta.dirname, 'transport-memory.ts')
  const argv = [...readTypeScript, program]
  const { stdout, stderr } = spawnSync(process.execPath, argv, { encoding: 'utf8' })
  // a node with its modules takes about 100 MiB; what is kept of 256 MiB would be above 400
  assert.ok(Number(stdout) > 0 && Number(stdout) < 240, `${stdout} MiB ${stderr}`)
})

test('a file comes into a pod as it is, also where a try is cut', async () => {
  const path = join(folder, 'deep', 'dump')
  const calls = { count: 0 }
  // the second range arrives, and nobody hears of it
  const shell = shellOf(call => (call === 3 ? 0 : Number.POSITIVE_INFINITY), calls)
  await writeRemoteFile(shell, path, createReadStream(file), [1])
  assert.ok(readFileSync(path).equals(bytes))
  assert.is(calls.count, 5)
})

test('the password that a server takes for minutes goes there as a hash, by which it knows who has it (RFC 7677)', () => {
  const said =
    'n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0'
  const salt = Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64')
  const [, stored = '', server = ''] =
    /^SCRAM-SHA-256\$4096:W22ZaJ0SNY7soEsUEjb6gQ==\$(.+):(.+)$/.exec(
      createScramVerifier('pencil', salt),
    ) ?? []
  const sign = (key: string) =>
    createHmac('sha256', Buffer.from(key, 'base64')).update(said).digest()
  assert.is(sign(server).toString('base64'), '6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=')
  assert.is(stored, 'WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=')
})

const meta = (name: string, folder = 'chatwoot') => ({
  name,
  labels: { 'app.kubernetes.io/part-of': folder },
})
const secret = { secretKeyRef: { name: 'chatwoot-secrets', key: 'CHATWOOT_DB_PASSWORD' } }
const server: Manifest = {
  kind: 'StatefulSet',
  metadata: meta('chatwoot-db'),
  spec: {
    volumeClaimTemplates: [{ metadata: { name: 'data' } }],
    template: {
      spec: {
        securityContext: { runAsUser: 999, fsGroup: 999 },
        containers: [
          {
            ...{ name: 'postgres', image: 'postgres:17', command: ['sh', '/kgc/start.sh'] },
            env: [
              { name: 'POSTGRES_DB', value: 'chatwoot' },
              { name: 'DATABASE_LOGIN', value: 'chatwoot_a' },
              { name: 'POSTGRES_PASSWORD', valueFrom: secret },
            ],
            volumeMounts: [
              { name: 'data', mountPath: '/var/lib/postgresql/data' },
              { name: 'init', mountPath: '/kgc/start.sh', subPath: 'start.sh' },
            ],
          },
        ],
        volumes: [{ name: 'init', configMap: { name: 'postgres-init' } }],
      },
    },
  },
}
const redis: Manifest = {
  kind: 'StatefulSet',
  metadata: meta('chatwoot-redis'),
  spec: {
    volumeClaimTemplates: [{ metadata: { name: 'data' } }],
    template: { spec: { containers: [{ name: 'redis' }] } },
  },
}
const mounts = (claim: string) => ({
  volumes: [{ name: 'files', persistentVolumeClaim: { claimName: claim } }],
})
const web = (claim: string): Manifest => ({
  kind: 'Deployment',
  metadata: meta('chatwoot-web'),
  spec: { template: { spec: { containers: [{ name: 'chatwoot' }], ...mounts(claim) } } },
})

test('what an environment has is called as on Compose; a claim that nobody has decided about is refused by name', () => {
  const all = [server, redis, web('chatwoot-storage')]
  const [plan] = planEnvironment(all)
  assert.equal(plan?.databases, [
    {
      ...{ service: 'chatwoot-db', database: 'chatwoot', login: 'chatwoot_a' },
      volume: 'data-chatwoot-db-0',
    },
  ])
  assert.equal(
    plan?.files.map(({ key, name }) => [key, name]),
    [['chatwoot-storage', 'chatwoot-storage']],
  )
  assert.equal(
    plan?.leftOut.map(({ key, name, emptied }) => [key, name, emptied]),
    [['chatwoot-redis-data', 'data-chatwoot-redis-0', true]],
  )
  assert.throws(() => planEnvironment([server, web('chatwoot-new')]), /chatwoot-new/)
  const claims = ['data-chatwoot-db-0', 'chatwoot-storage', 'forgotten'].map(name => ({
    ...{ kind: 'PersistentVolumeClaim', metadata: { name } },
  }))
  assert.equal(findForeignClaims(claims, [plan!]), ['forgotten'])
})

test('a database is ready with its pod, and only what is to be saved is waited for', () => {
  const pod = (status: string): Manifest => ({
    ...{ kind: 'Pod', metadata: { name: 'chatwoot-db-0' } },
    status: { conditions: [{ type: 'Ready', status }] },
  })
  assert.equal(findUnreadyDatabases([server, pod('False')], []), ['chatwoot-db'])
  assert.equal(findUnreadyDatabases([server], ['chatwoot']), ['chatwoot-db'])
  assert.equal(findUnreadyDatabases([server, pod('True')], []), [])
  assert.equal(findUnreadyDatabases([server, pod('False')], ['kgc']), [])
})

test('files that lie in a bucket are told of: by the setting, or because nothing mounts their volume', () => {
  const [mounted] = planEnvironment([server, web('chatwoot-storage')])
  const [moved] = planEnvironment([server])
  const config: Manifest = {
    ...{ kind: 'ConfigMap', metadata: { name: 'twenty-crm-config-7g2hb9kdc4' } },
    data: { STORAGE_TYPE: 's3' },
  }
  assert.equal(findElsewhere([mounted!], readConfigValues([config])), [])
  assert.match(findElsewhere([moved!], {})[0]!.what, 'nothing mounts chatwoot-storage')
  const twenty = { folder: 'twenty-crm', files: [{ key: 'twenty-storage' } as PlannedVolume] }
  assert.match(
    findElsewhere([twenty], readConfigValues([config]))[0]!.what,
    'TWENTY_STORAGE_TYPE=s3',
  )
})

test('a database outside of the cluster is refused with the command that saves it', () => {
  const outside: Manifest = {
    ...{ kind: 'Service', metadata: meta('chatwoot-db') },
    spec: { type: 'ExternalName', externalName: 'db.example.net' },
  }
  assert.throws(() => refuseOutside([outside], ['chatwoot']), /at db.example.net/)
  refuseOutside([outside], ['kgc'])
})

test('the Job of a database has no token, no secret of the stack and no data of its own', () => {
  const job = createDatabaseJob(server, 'chatwoot')
  const { automountServiceAccountToken, initContainers, volumes, securityContext } =
    job.spec.template.spec
  assert.is(automountServiceAccountToken, false)
  assert.not.match(JSON.stringify(job), 'secretKeyRef')
  assert.not.match(JSON.stringify(job), 'persistentVolumeClaim')
  assert.is(securityContext.runAsUser, 999)
  // it ends with the Job
  assert.is(initContainers[0].restartPolicy, 'Always')
  assert.equal(volumes.map(({ name }: { name: string }) => name).sort(), [
    'data',
    'init',
    'scratch',
    'scripts',
  ])
})

test('the Job of a volume reads it on the node of the pod that uses it, and changes no owner', () => {
  const user = { spec: { nodeName: 'two' } } as Pod
  const job = createVolumeJob('chatwoot-storage', { image: 'postgres:17', user, writes: false })
  const { containers, securityContext, affinity } = job.spec.template.spec
  const mount = containers[0].volumeMounts.find(
    ({ mountPath }: { mountPath: string }) => mountPath === '/volume',
  )
  assert.is(mount.readOnly, true)
  assert.is(securityContext.fsGroup, undefined)
  assert.match(JSON.stringify(affinity), '"values":["two"]')
})

test('Secrets are saved with the certificates, and without what holds in one cluster only', () => {
  const all = ['kubernetes.io/tls', 'Opaque', 'kubernetes.io/service-account-token'].map(type => ({
    ...{ apiVersion: 'v1', kind: 'Secret', type, data: { key: 'dmFsdWU=' } },
    metadata: { name: type, uid: 'u', resourceVersion: '7', ownerReferences: [] },
  }))
  const saved = selectSecrets(all)
  assert.equal(
    saved.map(({ type }) => type),
    ['kubernetes.io/tls', 'Opaque'],
  )
  assert.equal(saved[0]?.metadata, { name: 'kubernetes.io/tls' })
})

test('data that was written with other keys than are here is refused by name, as Secrets or as env files', () => {
  const key = 'CHATWOOT_ENCRYPTION_PRIMARY_KEY'
  const secretOf = (name: string, value: string): Manifest => ({
    ...{ kind: 'Secret', metadata: { name } },
    data: { [key]: Buffer.from(value).toString('base64') },
  })
  const here = readSecretValues(
    [
      secretOf('chatwoot-secrets-7g2hb9kdc4', 'of here'),
      secretOf('chatwoot-secrets-of-others', 'x'),
    ],
    ['chatwoot'],
  )
  assert.equal(here, new Map([['chatwoot', { [key]: 'of here' }]]))
  refuseOtherValues(new Map([['chatwoot', { [key]: 'of here' }]]), here, '')
  refuseOtherValues(new Map([['kgc', { KGC_JWT_SECRET: 'x' }]]), here, '')
  try {
    refuseOtherValues(new Map([['chatwoot', { [key]: 'of there' }]]), here, 'bring them')
    assert.unreachable()
  } catch (error) {
    const { code, evidence, next } = error as Failure
    assert.equal([code, evidence, next], [3, `infra/docker/chatwoot: ${key}`, 'bring them'])
  }
})

test('an environment without its way out is let out by one command, whoever asks; one that only stays down is not', async () => {
  const shop = { name: 'shop' }
  const goLive = 'npx zx scripts/restore.ts --go-live shop --target kubernetes'
  const annotated = (kind: string, name: string, key: string): Manifest => ({
    ...{ kind, metadata: { name, annotations: { [`kgc.hu/${key}-before-restore`]: '[]' } } },
  })
  const shutIn = [server, annotated('NetworkPolicy', 'chatwoot-web', 'egress')]
  assert.is(findEnvironmentGoLive(shop, shutIn), goLive)
  assert.ok(isEnvironmentHeld(shutIn))
  assert.match(findHeldBack(shop, shutIn).join(), `webhooks out: ${goLive}, when`)

  const manifest = { name: 'shop-20260101T000000Z', project: 'shop' }
  const earlierOf = (all: Manifest[]) =>
    describeEarlier('shop', findEnvironmentGoLive(shop, all), join(folder, 'backup'), manifest)
  await changeRecord(folder, 'shop', {
    restored: { at: '2026-01-01T00:00:00Z', backup: manifest.name, ms: 1, into: 'shop' },
  })
  assert.equal(earlierOf(shutIn), { goLive, isSame: true })

  // a rollback starts what --stay-down has left
  const down = [server, annotated('Deployment', 'chatwoot-sidekiq', 'replicas')]
  assert.ok(isEnvironmentHeld(down))
  assert.equal(findHeldBack(shop, down), [])
  assert.equal(earlierOf(down), { goLive: undefined, isSame: false })
  assert.not.ok(isEnvironmentHeld([server]))
})

test('what goes into SQL as a variable comes through whatever is in it', () => {
  assert.is(quoteForPsql(`a'b\\c\nd`), `'a\\'b\\\\c\\nd'`)
})

test.run()
