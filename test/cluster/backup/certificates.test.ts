// Traefik's certificates on the test cluster: brought to the Traefik that runs there, served by it, and saved
// from it. Only an administrator may do either.
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { connect } from 'node:tls'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { findEdgeCertificates } from '../../../scripts/lib/backup/kubernetes/certificates/save.ts'
import { storeBytes } from '../../../scripts/lib/backup/encryption.ts'
import { writeManifest } from '../../../scripts/lib/backup/manifest.ts'
import { beforeAll } from '../../hooks.ts'
import type { Result } from '../../sandbox.ts'
import { makeBackup } from '../../unit/made-backups.ts'
import { waitUntil } from '../../until.ts'
import { apply, clusterEnv, get, kubectl, namespace, writeKubeconfig } from '../cluster.ts'
import { backupAccount, deployer } from '../deploy/test-environment.ts'
import { copy as box, type Json } from '../manifests.ts'

const test = suite("Traefik's certificates on the cluster")
const space = namespace('certificates')
const env = { ...clusterEnv, NO_COLOR: '1' }
/** Of this run alone: what the one before has brought stays. */
const hosts = ['app', 'crm'].map(name => `${name}-${process.pid}.kgc.test`)
const inEdge = ['--namespace', 'traefik']
let backup = ''

/** A certificate of a host for 80 days, as Traefik keeps one. */
function certify(host: string): object {
  const [key, certificate] = ['key', 'crt'].map(name => join(box.root, name)) as [string, string]
  const request =
    '-x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=test -days 80'
  const files = ['-addext', `subjectAltName=DNS:${host}`, '-keyout', key, '-out', certificate]
  execFileSync('openssl', ['req', ...request.split(' '), ...files], { stdio: 'pipe' })
  const [keyText, text] = [key, certificate].map(file => readFileSync(file).toString('base64'))
  return { domain: { main: host }, certificate: text, key: keyText, Store: 'default' }
}

/** The name in the certificate that is served for a host. */
const served = (host: string): Promise<string | undefined> =>
  new Promise(done => {
    const where = { host: '127.0.0.1', port: 18443, servername: host }
    const socket = connect({ ...where, rejectUnauthorized: false, timeout: 5000 })
    const end = (name?: string) => {
      socket.destroy()
      done(name)
    }
    socket.on('error', () => end()).on('timeout', () => end())
    socket.on('secureConnect', () => end(socket.getPeerCertificate().subjectaltname))
  })
const inPod = (script: string): string =>
  kubectl(['exec', 'deploy/traefik', ...inEdge, '--', 'sh', '-c', script])
const pods = (): string[] =>
  get('pods', '--selector', 'app.kubernetes.io/name=traefik', ...inEdge)
    .items.filter(({ metadata }: Json) => !metadata.deletionTimestamp)
    .map(({ metadata }: Json) => metadata.uid)
const bring = (more: Record<string, string> = {}): Result =>
  box.script(['restore', backup, 'test', '--certificates'], {
    env: { ...env, ...more },
    timeout: 300_000,
  })
/** A kubeconfig of an account of the namespace. */
const accountEnv = (account: string): Record<string, string> => {
  const file = join(box.root, `kubeconfig-${account}`)
  writeKubeconfig(file, [{ context: 'test', account, namespace: space }])
  return { KUBECONFIG: file }
}

beforeAll(test, async () => {
  kubectl(['apply', '--kustomize', join(box.root, 'infra/k8s/overlays/demo/cluster')], {
    timeout: 120_000,
  })
  kubectl(['rollout', 'status', 'deployment/traefik', '--timeout', '120s', ...inEdge], {
    timeout: 130_000,
  })
  const overlay = join(box.root, 'infra/k8s/overlays/test')
  mkdirSync(overlay, { recursive: true })
  writeFileSync(join(overlay, 'environment.yaml'), 'disposable: true\n')
  writeFileSync(join(overlay, 'kustomization.yaml'), JSON.stringify({ namespace: space }))
  deployer(space)
  backupAccount(space)
  const annotations = { 'traefik.ingress.kubernetes.io/router.tls.certresolver': 'letsencrypt' }
  const service = { name: 'app', port: { number: 80 } }
  apply({
    ...{ apiVersion: 'networking.k8s.io/v1', kind: 'Ingress' },
    metadata: { name: 'app', namespace: space, annotations },
    spec: {
      ingressClassName: 'traefik',
      rules: [
        {
          host: hosts[0],
          http: { paths: [{ path: '/', pathType: 'Prefix', backend: { service } }] },
        },
      ],
    },
  })
  const of = { engine: 'kubernetes', suffix: '.test' } as const
  const to = mkdtempSync(join(box.root, 'backups-'))
  const made = await makeBackup(to, space, Date.now(), of)
  const name = 'kubernetes/acme.json'
  const store = { letsencrypt: { Account: null, Certificates: hosts.map(certify) } }
  const bytes = Readable.from([Buffer.from(JSON.stringify(store))])
  const { plain, stored } = await storeBytes(bytes, join(made.folder, name), [])
  const files = [...made.manifest.files, { ...plain, name, stored: { ...stored, path: name } }]
  await writeManifest(made.folder, { ...made.manifest, files })
  backup = made.folder
})

test('a deployer may not bring them, and is told who may', async () => {
  const before = pods()
  const { code, stderr } = bring(accountEnv('deployer'))
  assert.is(code, 3, stderr)
  assert.match(stderr, /in the namespace traefik this account may not: .*create pods\/exec/)
  assert.equal(pods(), before)
  assert.is.not(await served(hosts[0]!), `DNS:${hosts[0]}`)
})

test('an administrator brings them: Traefik restarts and serves them; a second time it is left alone', async () => {
  const before = pods()
  const { code, stdout, stderr } = bring()
  assert.is(code, 0, stderr)
  assert.match(stdout, hosts.join(', '))
  for (const host of hosts)
    await waitUntil(`${host} is served`, 30, async () => (await served(host)) === `DNS:${host}`)
  assert.is(inPod('stat -c %a /acme/acme.json').trim(), '600')
  assert.is(inPod('ls -A /acme').trim(), 'acme.json')
  const restarted = pods()
  assert.not.equal(restarted, before)
  const again = bring()
  assert.is(again.code, 0, again.stderr)
  assert.match(again.stdout, 'has no use for the certificates')
  assert.equal(pods(), restarted)
})

test('a backup by an administrator has those of its own hosts; the account for backups is told how', async () => {
  const environment = {
    ...{ name: 'test', folder: 'infra/k8s/overlays/test', namespace: space, edge: {} },
    ...{ disposable: true, protected: false, stableSeconds: 0 },
    sealedSecrets: { namespace: 'kube-system', name: '' },
  }
  process.env.PATH = clusterEnv.PATH
  process.env.KUBECONFIG = clusterEnv.KUBECONFIG
  const { store, leftOut } = await findEdgeCertificates(environment)
  assert.equal(leftOut, [])
  assert.equal(
    store?.letsencrypt?.Certificates?.map(({ domain }) => domain.main),
    [hosts[0]],
  )
  process.env.KUBECONFIG = accountEnv('backup').KUBECONFIG
  const denied = await findEdgeCertificates(environment)
  assert.is(denied.store, undefined)
  assert.match(denied.leftOut[0]!.reason, 'kubectl exec -n traefik deployment/traefik')
})

test.run()
