import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'dotenv'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { parseExample } from '../../scripts/lib/env/example.ts'
import { sealedSecretsVersion } from '../../scripts/lib/kubernetes/kubeseal.ts'
import { selectKeysToSeal, checkSealedKeys } from '../../scripts/lib/kubernetes/sealed-secrets.ts'
import { emptySeals, kubeseal } from '../kubeseal.ts'
import { repository, sandbox } from '../sandbox.ts'
import { kubeconfigOf } from './fake-kubectl.ts'

const test = suite('seal')
const entries = parseExample('#@ required secret\nA=\n#@ secret\nB=\n')
const judge = (keys: Record<string, string>, empty = false) =>
  checkSealedKeys(
    { file: 'secrets/shop.yaml', folder: 'infra/docker/shop', keys, entries },
    'staging',
    empty,
  ).map(({ key, problem }) => `${key} ${problem}`)

test('keys: missing and unknown ones are named, empty ones when it is asked', () => {
  assert.equal(judge({ A: '', B: '' }), [])
  assert.equal(judge({ A: 'x', B: 'x' }, true), [])
  assert.equal(judge({ A: '', C: 'x' }), [
    'B is missing',
    'C is no secret of infra/docker/shop/.env.example',
  ])
  assert.equal(judge({ A: '', B: 'x' }, true), ['A is empty'])
})

test('what is sealed: empty keys; those that are named; all', () => {
  const keys = { A: '', B: 'x', C: 'y' }
  assert.equal(selectKeysToSeal(keys, {}), ['A'])
  assert.equal(selectKeysToSeal(keys, { only: ['B', 'D'] }), ['B'])
  assert.equal(selectKeysToSeal(keys, { all: true }), ['A', 'B', 'C'])
  assert.equal(selectKeysToSeal({ A: 'x' }, {}), [])
})

test('kubeseal and the controller are of one release', () => {
  assert.match(
    readFileSync(join(repository, 'infra/k8s/README.md'), 'utf8'),
    `sealed-secrets/releases/download/v${sealedSecretsVersion}/controller.yaml`,
  )
})

const box = sandbox()
const { bin, log } = kubeseal()
const overlay = join(box.root, 'infra/k8s/overlays/staging')
const secrets = join(overlay, 'secrets')
// a public certificate without an owner, good until 2002
const expired = `-----BEGIN CERTIFICATE-----
MIIBBTCBrAIBATAKBggqhkjOPQQDAjAPMQ0wCwYDVQQDDAR0ZXN0MB4XDTAxMDEw
MTAwMDAwMFoXDTAyMDEwMTAwMDAwMFowDzENMAsGA1UEAwwEdGVzdDBZMBMGByqG
SM49AgEGCCqGSM49AwEHA0IABBl3m9fv72sc1375BUFgha0zXhND6QoUGmc5kEwv
8Z/qRnB3Ek+ZAMQm5R2OUrgd6dDPW9d+oqT4/lFLBK5voIgwCgYIKoZIzj0EAwID
SAAwRQIhANlaahI+Ha3t1JHTZCfs4mc3TxfHcns0Z4oFqoQ5pfZBAiA5lVKcJTYm
z8z/9vwoc3dELBaiNv84mCfhUd+DVZO6JA==
-----END CERTIFICATE-----
`
const kubeconfig = kubeconfigOf('kgc-staging')
const env = { PATH: `${bin}:${process.env.PATH}`, HOME: bin, KUBECONFIG: kubeconfig }
const seal = (...argv: string[]) => box.inProcess(['seal', 'staging', ...argv], env)
const read = (folder: string) => readFileSync(join(secrets, `${folder}.yaml`), 'utf8')
const folders = emptySeals(secrets)
const all = () => folders.map(read).join('')
writeFileSync(join(overlay, 'environment.yaml'), 'context: kgc-staging\n')
const before = all()
const keys = before.match(/: ""$/gm)!.length

test('without env files it writes nothing and says which command makes them', async () => {
  const { code, stderr } = await seal()
  assert.is(code, 2)
  assert.match(
    stderr,
    'infra/docker/kgc/.env.staging: is missing; run `npx zx scripts/env.ts staging`',
  )
  assert.is(all(), before)
})

test('without kubeseal it says which one and how to have it', async () => {
  assert.is((await box.inProcess(['env', 'staging'])).code, 0)
  const empty = join(bin, 'empty')
  mkdirSync(empty)
  const { code, stderr } = await box.inProcess(['seal', 'staging'], {
    PATH: `${empty}:/usr/bin:/bin`,
    KUBECONFIG: kubeconfig,
  })
  assert.is(code, 3)
  assert.match(stderr, `must fit the controller (${sealedSecretsVersion})`)
  assert.match(stderr, `kubeseal-${sealedSecretsVersion}-linux-amd64.tar.gz`)
  assert.is(all(), before)
})

test('a certificate that cannot be had, is none or has expired: nothing is written', async () => {
  const cert = join(bin, 'other.pem')
  assert.is((await seal('--cert', cert)).code, 2)
  writeFileSync(cert, 'no certificate')
  const { code, stderr } = await seal('--cert', cert)
  assert.is(code, 3)
  assert.match(stderr, 'it is not a certificate')
  writeFileSync(cert, expired)
  const late = await seal('--cert', cert)
  assert.is(late.code, 3)
  assert.match(late.stderr, 'it has expired (Jan  1 00:00:00 2002 GMT)')
  process.env.NO_CLUSTER = '1'
  const unreachable = await seal()
  delete process.env.NO_CLUSTER
  assert.is(unreachable.code, 3)
  assert.match(unreachable.stderr, /cannot fetch certificate: no answer[^]*--cert FILE/)
  assert.is(all(), before)
})

test('a wrong value in the env files: nothing is written', async () => {
  const file = join(box.docker, 'kgc/.env.staging')
  const text = readFileSync(file, 'utf8')
  writeFileSync(file, text.replace(/^KGC_JWT_SECRET=.*/m, 'KGC_JWT_SECRET='))
  const { code, stderr } = await seal()
  writeFileSync(file, text)
  assert.is(code, 2)
  assert.match(stderr, 'KGC_JWT_SECRET is required and empty')
  assert.is(all(), before)
})

test('it fills every key, keeps the rest of the files, and no value is in an argument or in what it prints', async () => {
  // a program of its own: in this process the secrets are known from before
  const { code, stdout, stderr } = box.script(['seal', 'staging', '--json'], { env })
  assert.is(code, 0, stderr)
  assert.is(all().replace(/sealed-\d+/g, ''), before)
  assert.not.match(all(), '""')
  assert.match(stdout, `"sealed":${keys}`)
  const said = stdout + stderr + readFileSync(log, 'utf8')
  const text = readFileSync(join(box.docker, 'chatwoot/.env.staging'), 'utf8')
  const values = [...text.matchAll(/^CHATWOOT_\w*(?:PASSWORD|KEY\w*)=(.{12,})$/gm)].map(
    ([, value]) => value!,
  )
  assert.ok(values.length >= 5)
  for (const value of values)
    for (const form of [value, Buffer.from(value).toString('base64')])
      assert.not.ok(said.includes(form))
  const asked =
    '--context kgc-staging --controller-namespace kube-system --controller-name sealed-secrets-controller --fetch-cert'
  assert.ok(readFileSync(log, 'utf8').split('\n').includes(asked))
})

test('what is sealed stays; a named key is sealed anew, everywhere it stands', async () => {
  const sealed = all()
  assert.match((await seal()).stdout, 'Every key is sealed already')
  assert.is(all(), sealed)
  const mailing = folders.filter(folder => read(folder).includes(' SMTP_PASSWORD:')).length
  assert.ok(mailing > 1)
  assert.match(
    (await seal('--only', 'SMTP_PASSWORD')).stdout,
    `${mailing} keys sealed in ${mailing} files`,
  )
  const { code, stderr } = await seal('--only', 'NO_SUCH_KEY')
  assert.is(code, 2)
  assert.match(stderr, 'no SealedSecret has them: NO_SUCH_KEY')
  assert.match((await seal('--all')).stdout, `${keys} keys sealed in ${folders.length} files`)
  assert.is((await seal('--all', '--check')).code, 2)
})

test('a rotated key has another value in its env file and is sealed; what a server or stored data depends on is refused', async () => {
  const file = join(box.docker, 'kgc/.env.staging')
  const valueOf = (key: string) =>
    new RegExp(`^${key}=(.*)$`, 'm').exec(readFileSync(file, 'utf8'))?.[1]
  const [old, sealed] = [valueOf('KGC_JWT_SECRET'), read('kgc')]
  writeFileSync(
    join(secrets, 'kgc.yaml'),
    sealed.replace(/KGC_JWT_SECRET: .*/, 'KGC_JWT_SECRET: old'),
  )
  const { code, stdout, stderr } = await seal('--rotate', 'KGC_JWT_SECRET')
  assert.is(code, 0, stderr)
  const fresh = valueOf('KGC_JWT_SECRET')!
  assert.is.not(fresh, old)
  assert.is(fresh.length, old!.length)
  assert.not.ok((stdout + stderr).includes(fresh))
  assert.match(stdout, 'Commit that, then: npx zx scripts/deploy.ts staging')
  assert.is(read('kgc').replaceAll('"', ''), sealed.replaceAll('"', ''))
  const now = [readFileSync(file, 'utf8'), all()]
  const refusals: [string, number, string][] = [
    ['CHATWOOT_ENCRYPTION_PRIMARY_KEY', 3, 'stored data cannot be read or verified without it'],
    ['TWENTY_ENCRYPTION_KEY', 3, 'says how it is re-encrypted with another one'],
    ['NO_SUCH_KEY', 2, 'no SealedSecret has them'],
  ]
  for (const [key, expected, words] of refusals) {
    const refused = await seal('--rotate', key)
    assert.is(refused.code, expected, refused.stderr)
    assert.ok(refused.stderr.includes(words), refused.stderr)
  }
  assert.is((await seal('--rotate', 'KGC_JWT_SECRET', '--all')).code, 2)
  assert.equal([readFileSync(file, 'utf8'), all()], now)
})

/** Plays a kubectl whose overlay has these objects; the real one is asked by cluster/deploy/sealed. */
const rendered = (...objects: object[]) =>
  writeFileSync(
    join(bin, 'kubectl'),
    `#!/bin/sh\ncat <<'END'\n${objects.map(one => JSON.stringify(one)).join('\n')}\nEND\n`,
    { mode: 0o755 },
  )
/** A StatefulSet whose container has these keys of the Secret as its variables. */
const server = (name: string, container: string, keys: Record<string, string>) => {
  const fromSecret = Object.entries(keys).map(([variable, key]) => ({
    name: variable,
    valueFrom: { secretKeyRef: { name: 'kgc-secrets', key } },
  }))
  const env = [{ name: 'POSTGRES_DB', value: 'kgc' }, ...fromSecret]
  const spec = { template: { spec: { containers: [{ name: container, env }] } } }
  return { kind: 'StatefulSet', metadata: { name }, spec }
}

test('a password of a database goes to its other login, both sealed; of a server outside it is refused', async () => {
  const file = join(box.docker, 'kgc/.env.staging')
  const values = () => parse(readFileSync(file, 'utf8'))
  const old = values()
  const lines = (before: string, after: string) => {
    const known = before.split('\n')
    return after.split('\n').filter(line => !known.includes(line))
  }
  writeFileSync(
    join(secrets, 'kgc.yaml'),
    read('kgc').replace(/(KGC_(DB|REDIS)_(LOGIN|PASSWORD)): .*/g, '$1: old'),
  )
  const before = read('kgc')
  rendered(
    server('kgc-db', 'postgres', {
      POSTGRES_PASSWORD: 'KGC_DB_PASSWORD',
      DATABASE_LOGIN: 'KGC_DB_LOGIN',
    }),
    server('kgc-redis', 'redis', { REDIS_PASSWORD: 'KGC_REDIS_PASSWORD' }),
  )
  const { code, stdout, stderr } = await seal('--rotate', 'KGC_DB_PASSWORD')
  assert.is(code, 0, stderr)
  assert.match(stdout, 'for kgc_b. Commit that')
  const now = values()
  assert.is(now.KGC_DB_LOGIN, 'kgc_b')
  assert.is.not(now.KGC_DB_PASSWORD, old.KGC_DB_PASSWORD)
  assert.not.ok((stdout + stderr).includes(now.KGC_DB_PASSWORD!))
  assert.equal(
    lines(before, read('kgc')).map(line => line.trim().split(':')[0]),
    ['KGC_DB_LOGIN', 'KGC_DB_PASSWORD'],
  )
  assert.is((await seal('--rotate', 'KGC_REDIS_PASSWORD')).code, 0)
  assert.is.not(values().KGC_REDIS_PASSWORD, old.KGC_REDIS_PASSWORD)

  // with external-postgres the overlay has no server
  rendered({ kind: 'ConfigMap', metadata: { name: 'external-postgres' } })
  const stood = [readFileSync(file, 'utf8'), all()]
  const refused = await seal('--rotate', 'KGC_DB_PASSWORD')
  rmSync(join(bin, 'kubectl'))
  assert.is(refused.code, 3, refused.stderr)
  assert.match(refused.stderr, 'no server of the overlay takes it')
  assert.match(refused.stderr, '--only KGC_DB_PASSWORD --only KGC_DB_LOGIN')
  assert.equal([readFileSync(file, 'utf8'), all()], stood)
})

test('--check names what is missing, empty, unknown or would not unseal, and changes nothing', async () => {
  assert.is((await seal('--check')).code, 0)
  const file = join(secrets, 'horilla-hr.yaml')
  const text = read('horilla-hr')
  const broken = text
    .replace(/^ {4}HORILLA_DB_PASSWORD:.*\n/m, '')
    .replace(/HORILLA_SECRET_KEY: .*/, 'HORILLA_SECRET_KEY: ""')
  writeFileSync(
    file,
    broken.replace(/HORILLA_DB_INIT_PASSWORD: .*/, 'HORILLA_DB_INIT_PASSWORD: other') +
      '    HORILLA_OTHER: sealed-1\n',
  )
  const changed = all()
  const { code, stderr } = await seal('--check')
  assert.is(code, 2)
  const problems = [
    'DB_PASSWORD is missing',
    'SECRET_KEY is empty',
    'OTHER is no secret of',
    'DB_INIT_PASSWORD would not unseal',
  ]
  for (const words of problems) assert.match(stderr, `HORILLA_${words}`)
  assert.match(stderr, '4 problems')
  assert.is(all(), changed)
  // a file that lacks a key is not sealed half
  assert.is((await seal('--all')).code, 2)
  assert.is(all(), changed)
  writeFileSync(file, text)
})

test('where an environment is measured, of the monitoring the keys are sealed that Kubernetes reads', async () => {
  const file = join(secrets, 'monitoring.yaml')
  const metadata = 'metadata: { name: monitoring-secrets, namespace: kgc-staging }'
  const keys = '{ EXPORTER_DB_PASSWORD: "", EXPORTER_REDIS_PASSWORD: "" }'
  const head = `apiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\n${metadata}\n`
  writeFileSync(file, `${head}spec:\n  encryptedData: ${keys}\n`)
  const { code, stderr } = await seal()
  assert.is(code, 0, stderr)
  assert.match(stderr, 'monitoring.yaml: 2 of 2 (EXPORTER_DB_PASSWORD, EXPORTER_REDIS_PASSWORD)')
  const sealed = read('monitoring')
  assert.not.match(sealed, /_PASSWORD: ""/)
  assert.not.match(sealed, 'GRAFANA')
  writeFileSync(file, sealed.replace('EXPORTER_DB', 'EXPORTER'))
  assert.match(
    (await seal('--check')).stderr,
    'EXPORTER_PASSWORD is no secret of infra/monitoring/',
  )
  rmSync(file)
})

test('an environment without SealedSecrets, and a file of another namespace', async () => {
  assert.match((await box.inProcess(['seal', 'demo'])).stderr, 'nothing to seal')
  assert.match((await box.inProcess(['seal', 'moon'])).stderr, /one of: .*production.*staging/)
  const text = read('kgc')
  writeFileSync(join(secrets, 'kgc.yaml'), text.replace(/namespace: \S+/, 'namespace: elsewhere'))
  const { code, stderr } = await seal('--check')
  writeFileSync(join(secrets, 'kgc.yaml'), text)
  assert.is(code, 2)
  assert.match(stderr, "its namespace is elsewhere, the overlay's ")
})

test.run()
