// Secrets on their whole way: env file, SealedSecret in the repository, Secret in the cluster. In a
// namespace and an environment of its own.
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'dotenv'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { beforeAll } from '../hooks.ts'
import { emptySeals } from '../kubeseal.ts'
import { sandbox } from '../sandbox.ts'
import { clusterEnv, get, kubectl, namespace } from './cluster.ts'
import { waitUntil } from '../until.ts'

const test = suite('seal')
const place = namespace('kgc-test-seal')
const box = sandbox()
const overlay = join(box.root, 'infra/k8s/overlays/sealing')
const file = (folder: string) => join(overlay, 'secrets', `${folder}.yaml`)
const seal = (...argv: string[]) =>
  box.script(['seal', 'sealing', ...argv], { env: clusterEnv, timeout: 120_000 })
const apply = () => kubectl(['apply', '--kustomize', overlay])
const values = (folder: string) =>
  parse(readFileSync(join(box.docker, folder, '.env.sealing'), 'utf8'))
/** The Secret's values as a pod would read them. */
const unsealed = (name: string): Record<string, string> =>
  Object.fromEntries(
    Object.entries<string>(get('secret', name, '--namespace', place).data).map(([key, text]) => [
      key,
      Buffer.from(text, 'base64').toString(),
    ]),
  )

beforeAll(test, () => {
  mkdirSync(overlay, { recursive: true })
  cpSync(join(box.root, 'infra/k8s/overlays/staging/secrets'), join(overlay, 'secrets'), {
    recursive: true,
  })
  // what is sealed in staging opens with no other cluster's key
  for (const folder of emptySeals(join(overlay, 'secrets')))
    writeFileSync(
      file(folder),
      readFileSync(file(folder), 'utf8').replace(/namespace: \S+/, `namespace: ${place}`),
    )
  writeFileSync(join(overlay, 'kustomization.yaml'), `namespace: ${place}\nresources: [secrets]\n`)
  writeFileSync(join(overlay, 'environment.yaml'), 'disposable: true\n')
  assert.is(box.script(['env', 'sealing']).code, 0)
})

test('the values of the env files arrive in the cluster, empty ones too', async () => {
  const { code, stderr } = seal()
  assert.is(code, 0, stderr)
  apply()
  for (const folder of ['kgc', 'twenty-crm', 'chatwoot', 'horilla-hr']) {
    const secret = await waitUntil(`Secret of ${folder}`, 30, () => unsealed(`${folder}-secrets`))
    const wanted = values(folder)
    assert.ok(Object.keys(secret).length >= 3)
    for (const [key, value] of Object.entries(secret))
      assert.ok(value === wanted[key], `${folder}: ${key} is another`)
  }
  assert.is(unsealed('chatwoot-secrets').SMTP_PASSWORD, '')
  assert.is(seal('--check').code, 0)
})

test('a changed value arrives when its key is sealed anew; no other ciphertext changes', async () => {
  const path = join(box.docker, 'kgc/.env.sealing')
  writeFileSync(
    path,
    readFileSync(path, 'utf8').replace(
      /^KGC_TWENTY_API_KEY=.*/m,
      'KGC_TWENTY_API_KEY=q7Rz2LpW9sXv4TnB',
    ),
  )
  const before = readFileSync(file('kgc'), 'utf8')
  assert.is(seal('--only', 'KGC_TWENTY_API_KEY').code, 0)
  const changed = readFileSync(file('kgc'), 'utf8')
    .split('\n')
    .filter((line, i) => line !== before.split('\n')[i])
  assert.equal(
    changed.map(line => line.trim().split(':')[0]),
    ['KGC_TWENTY_API_KEY'],
  )
  apply()
  await waitUntil(
    'the new value',
    30,
    () => unsealed('kgc-secrets').KGC_TWENTY_API_KEY === 'q7Rz2LpW9sXv4TnB',
  )
})

test('a certificate in a file does it without the cluster', () => {
  const cert = join(box.root, 'certificate.pem')
  const fetched = box.script(['seal', 'sealing', '--all', '--cert', cert], {
    env: { ...clusterEnv, KUBECONFIG: '/nowhere' },
  })
  assert.is(fetched.code, 2, fetched.stderr)
  writeFileSync(
    cert,
    get(
      'secret',
      '--namespace',
      'kube-system',
      '--selector',
      'sealedsecrets.bitnami.com/sealed-secrets-key',
    ).items.map(({ data }: { data: Record<string, string> }) =>
      Buffer.from(data['tls.crt']!, 'base64').toString(),
    )[0],
  )
  const { code, stderr } = box.script(['seal', 'sealing', '--all', '--cert', cert], {
    env: { ...clusterEnv, KUBECONFIG: '/nowhere' },
  })
  assert.is(code, 0, stderr)
  assert.is(seal('--check').code, 0)
})

test('--check names a key that is removed, empty, unknown, or sealed for another place', () => {
  const text = readFileSync(file('horilla-hr'), 'utf8')
  const ciphertext = /KGC_DB_PASSWORD: (\S+)/.exec(readFileSync(file('kgc'), 'utf8'))![1]
  const broken = text
    .replace(/^ {4}HORILLA_DB_PASSWORD:.*\n/m, '')
    .replace(/HORILLA_SECRET_KEY: .*/, 'HORILLA_SECRET_KEY: ""')
    .replace(/HORILLA_DB_INIT_PASSWORD: .*/, `HORILLA_DB_INIT_PASSWORD: ${ciphertext}`)
  writeFileSync(file('horilla-hr'), `${broken}    HORILLA_OTHER: ""\n`)
  const { code, stderr } = seal('--check')
  writeFileSync(file('horilla-hr'), text)
  assert.is(code, 2)
  const problems = [
    'DB_PASSWORD is missing',
    'SECRET_KEY is empty',
    'OTHER is no secret of',
    'DB_INIT_PASSWORD would not unseal in this cluster',
  ]
  for (const words of problems) assert.match(stderr, `HORILLA_${words}`)
  assert.match(stderr, 'WHY   4 problems')
})

test('--check says it when nobody could be asked', () => {
  writeFileSync(join(overlay, 'environment.yaml'), 'sealedSecrets: { name: elsewhere }\n')
  const { code, stderr } = seal('--check')
  const cannot = seal('--all')
  writeFileSync(join(overlay, 'environment.yaml'), 'disposable: true\n')
  assert.is(code, 2)
  assert.match(stderr, 'could not be asked about')
  assert.is(cannot.code, 3)
  assert.match(
    cannot.stderr,
    /Fetch the controller's certificate \(kube-system\/elsewhere\)[^]*--cert FILE/,
  )
})

test.run()
