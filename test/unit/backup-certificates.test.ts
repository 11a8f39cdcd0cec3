// Traefik's certificates in a backup of an environment, and back: its file, and a pod that is this machine's shell.
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { readStore, replaceStore } from '../../scripts/lib/backup/kubernetes/certificates/edge.ts'
import { restoreCertificates } from '../../scripts/lib/backup/kubernetes/certificates/restore.ts'
import {
  findEdgeCertificates,
  findResolvers,
} from '../../scripts/lib/backup/kubernetes/certificates/save.ts'
import {
  mergeStores,
  parseStore,
  selectForHosts,
  validUntil,
  type CertificateStore,
  type StoredCertificate,
} from '../../scripts/lib/backup/kubernetes/certificates/store.ts'
import type { PodShell } from '../../scripts/lib/backup/kubernetes/transport.ts'
import { storeBytes } from '../../scripts/lib/backup/encryption.ts'
import { writeManifest, type BackupManifest } from '../../scripts/lib/backup/manifest.ts'
import { runRestoreCommand } from '../../scripts/lib/commands/restore.ts'
import { Failure } from '../../scripts/lib/errors.ts'
import type { Manifest } from '../../scripts/lib/kubernetes/objects.ts'
import { environment, withFakeKubectl } from './fake-kubectl.ts'
import { dayMs, makeBackup } from './made-backups.ts'

const test = suite("Traefik's certificates")
const folder = mkdtempSync(join(tmpdir(), 'kgc-acme-'))
process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
const path = join(folder, 'acme.json')
const now = Date.now()

/** A certificate of these names for some days, as Traefik keeps one. */
function certify(days: number, ...names: string[]): StoredCertificate {
  const [key, certificate] = ['key', 'crt'].map(name => join(folder, name)) as [string, string]
  const request = '-x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=test'
  const alternatives = `subjectAltName=${names.map(name => `DNS:${name}`).join()}`
  const more = ['-days', `${days}`, '-addext', alternatives, '-keyout', key, '-out', certificate]
  execFileSync('openssl', ['req', ...request.split(' '), ...more], { stdio: 'pipe' })
  const [main = '', ...sans] = names
  return {
    domain: { main, ...(sans.length ? { sans } : {}) },
    certificate: readFileSync(certificate).toString('base64'),
    key: readFileSync(key).toString('base64'),
    ...{ Store: 'default' },
  }
}

const [app, appLater, crm, other] = [
  certify(30, 'app.kgc.hu'),
  certify(80, 'app.kgc.hu'),
  certify(60, 'crm.kgc.hu'),
  certify(60, 'app.staging.hu'),
]
const account = { Email: 'ops@kgc.hu', PrivateKey: 'bm9uZQ==' }
const storeOf = (...Certificates: StoredCertificate[]): CertificateStore => ({
  letsencrypt: { Account: account, Certificates },
})
const mainsOf = ({ letsencrypt }: CertificateStore): (string | undefined)[] =>
  (letsencrypt?.Certificates ?? []).map(({ domain }) => domain.main)

test('only a whole file counts, and an empty one says nothing', () => {
  const text = JSON.stringify(storeOf(app))
  assert.equal(parseStore(text), storeOf(app))
  assert.is(parseStore(text.slice(0, -20)), undefined)
  assert.is(parseStore('[]'), undefined)
  assert.is(parseStore('{"letsencrypt":{"Certificates":[{"domain":"app.kgc.hu"}]}}'), undefined)
  assert.equal(parseStore('\n'), {})
  assert.equal(parseStore('{"a":null,"b":{"Account":null,"Certificates":null}}'), {
    b: { Account: null, Certificates: null },
  })
})

test('a certificate is good until its end, and with its own key only', () => {
  assert.ok(Math.abs(validUntil(app) - now - 30 * dayMs) < dayMs)
  assert.is(validUntil({ ...app, key: crm.key }), 0)
  assert.is(validUntil({ ...app, certificate: '' }), 0)
})

test("a backup has the certificates of its own environment's hosts, and no other environment's keys", () => {
  const wild = certify(60, '*.kgc.hu')
  const all = {
    ...storeOf(app, crm, other, { ...app, key: crm.key }),
    dns: { Certificates: [wild] },
  }
  const pick = (resolvers: string[], hosts: string[], at = now) =>
    selectForHosts(all, resolvers, hosts, at)
  assert.equal(pick(['letsencrypt'], ['app.kgc.hu', 'hr.kgc.hu']), storeOf(app))
  assert.equal(pick(['dns'], ['hr.kgc.hu']), { dns: { Certificates: [wild] } })
  assert.equal(pick(['dns'], ['kgc.hu', 'a.hr.kgc.hu']), { dns: { Certificates: [] } })
  assert.equal(mainsOf(pick(['letsencrypt'], ['app.kgc.hu'], now + 31 * dayMs)), [])
})

test('what is there and good for longer stays; what is missing or over is added; nothing else changes', () => {
  const merge = (here: CertificateStore, saved: CertificateStore, at = now) => {
    const { store, added } = mergeStores(here, saved, at)
    return [mainsOf(store), added]
  }
  assert.equal(merge({}, storeOf(app, crm)), [
    ['app.kgc.hu', 'crm.kgc.hu'],
    ['app.kgc.hu', 'crm.kgc.hu'],
  ])
  assert.equal(mergeStores(storeOf(appLater, other), storeOf(app), now), {
    store: storeOf(appLater, other),
    added: [],
  })
  assert.equal(mergeStores(storeOf(app, other), storeOf(appLater), now), {
    store: storeOf(other, appLater),
    added: ['app.kgc.hu'],
  })
  assert.equal(merge({}, storeOf(app), now + 31 * dayMs), [[], []])
  // a wildcard stands for it; a certificate of more names is not lost for one of fewer
  assert.equal(merge(storeOf(certify(60, '*.kgc.hu')), storeOf(crm, appLater))[1], ['app.kgc.hu'])
  assert.equal(merge(storeOf(certify(10, 'app.kgc.hu', 'kgc.hu')), storeOf(app))[0], [
    'app.kgc.hu',
    'app.kgc.hu',
  ])
  const mine = { letsencrypt: { Account: { Email: 'mine' }, Certificates: null } }
  assert.equal(mergeStores(mine, storeOf(app), now).store.letsencrypt?.Account, { Email: 'mine' })
})

const ingress = (host: string, resolver?: string): Manifest => ({
  ...{ apiVersion: 'networking.k8s.io/v1', kind: 'Ingress' },
  metadata: {
    name: host,
    ...(resolver
      ? { annotations: { 'traefik.ingress.kubernetes.io/router.tls.certresolver': resolver } }
      : {}),
  },
  spec: { rules: [{ host }] },
})

test('Ingresses say which resolver is asked for which hosts', () => {
  const all = [ingress('app.kgc.hu', 'letsencrypt'), ingress('crm.kgc.hu')]
  assert.equal(findResolvers(all), { resolvers: ['letsencrypt'], hosts: ['app.kgc.hu'] })
})

/** A pod's shell that is this machine's; `before` happens before each command. */
const shellOf =
  (before: (calls: number) => void = () => {}, calls = { count: 0 }): PodShell =>
  (script, words = [], input) => {
    before(++calls.count)
    const options = { encoding: 'utf8', input } as const
    const { stdout, stderr, status } = spawnSync('sh', ['-c', script, ...words], options)
    return Promise.resolve({ stdout, stderr, code: status ?? 137, ms: 0 })
  }
const write = (store: CertificateStore): void =>
  writeFileSync(path, JSON.stringify(store, undefined, 2), { mode: 0o600 })
const read = (): CertificateStore | undefined => parseStore(readFileSync(path, 'utf8'))

test('a file that Traefik writes just then is read again, and one that is not whole is none', async () => {
  write(storeOf(app))
  // it is written in place: between the checksum and the bytes, then half of it
  const grown = JSON.stringify(storeOf(app, crm), undefined, 2)
  const shell = shellOf(call => {
    if (call === 2) write(storeOf(crm))
    if (call === 3) writeFileSync(path, grown.slice(0, 2000))
    if (call === 5) writeFileSync(path, grown)
  })
  const { store, unread } = await readStore(shell, path, [1, 1, 1])
  assert.equal([store, unread], [storeOf(app, crm), false])
  writeFileSync(path, grown.slice(0, 2000))
  const broken = await readStore(shellOf(), path, [1]).catch((error: Failure) => error)
  assert.match((broken as Failure).why, 'no whole JSON')
})

test('a file is replaced whole, closed to others, and not when it has changed', async () => {
  write(storeOf(app))
  const { sum } = await readStore(shellOf(), path)
  assert.is(await replaceStore(shellOf(), path, sum, storeOf(app, crm)), true)
  assert.equal(read(), storeOf(app, crm))
  assert.is(statSync(path).mode & 0o777, 0o600)
  assert.is((await readStore(shellOf(), path)).unread, true)
  assert.is(await replaceStore(shellOf(), path, sum, storeOf(other)), false)
  assert.equal(read(), storeOf(app, crm))
  assert.not(existsSync(`${path}.new`))
  rmSync(path)
  const none = await readStore(shellOf(), path)
  assert.equal(none.store, {})
  assert.is(await replaceStore(shellOf(), path, none.sum, storeOf(app)), true)
})

const items = (...all: object[]): string => JSON.stringify({ items: all })
const pod = {
  ...{
    kind: 'Pod',
    metadata: { name: 'traefik-1', labels: { 'app.kubernetes.io/name': 'traefik' } },
  },
  status: { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] },
}
const counts = { replicas: 1, updatedReplicas: 1, readyReplicas: 1, availableReplicas: 1 }
const deployment = {
  ...{ kind: 'Deployment', metadata: { name: 'traefik' } },
  ...{ spec: { replicas: 1 }, status: counts },
}

/** A cluster whose Traefik is this machine's shell; `restart` happens when it is restarted. */
const cluster = ({
  allowed = true,
  restart = ':',
  hosts = [ingress('app.kgc.hu', 'letsencrypt')],
}) =>
  `case "$*" in
*" exec "*) while [ "$1" != -- ]; do shift; done; shift
  TRAEFIK_CERTIFICATESRESOLVERS_LETSENCRYPT_ACME_STORAGE='${path}' exec "$@" ;;
*accessreviews*) echo '{"status":{"allowed":${allowed}}}' ;;
*version*) echo '{"gitVersion":"v1.34.0","clientVersion":{"gitVersion":"v1.34.0"}}' ;;
*"get ingresses"*) echo '${items(...hosts)}' ;;
*"get pods"*) echo '${items(pod)}' ;;
*"apply deployments"*) echo restart >>'${folder}/restarts'; ${restart}; echo '{}' ;;
*"get deployments"*) echo '${JSON.stringify(deployment)}' ;;
esac`

test('a backup by an administrator has them; who may not look there is told how, and where nobody asks nothing is missing', async () => {
  write(storeOf(app, other))
  const find = async (options: Parameters<typeof cluster>[0]) => {
    const { value, error } = await withFakeKubectl(cluster(options), () =>
      findEdgeCertificates(environment),
    )
    if (error) throw error
    return value!
  }
  assert.equal(await find({}), { store: storeOf(app), leftOut: [] })
  const denied = await find({ allowed: false })
  assert.is(denied.store, undefined)
  assert.match(denied.leftOut[0]!.reason, 'kubectl exec -n traefik deployment/traefik -- cat')
  assert.equal(await find({ hosts: [ingress('app.kgc.hu')] }), { leftOut: [] })
  const yet = await find({ hosts: [ingress('hr.kgc.hu', 'letsencrypt')] })
  assert.match(yet.leftOut[0]!.reason, 'no certificate for the hosts')
  writeFileSync(path, '{"letsencrypt":')
  const broken = await find({})
  assert.match(broken.leftOut[0]!.reason, 'no whole JSON')
})

/** A backup of the demo with these certificates. */
async function makeSaved(
  store: CertificateStore | undefined,
  changes: Partial<BackupManifest> = {},
) {
  const to = mkdtempSync(join(folder, 'backups-'))
  const of = { engine: 'kubernetes', suffix: '.demo', ...changes } as const
  const made = await makeBackup(to, 'kgc-demo', now, of)
  if (!store) return made.folder
  const name = 'kubernetes/acme.json'
  const bytes = Readable.from([Buffer.from(JSON.stringify(store))])
  const { plain, stored } = await storeBytes(bytes, join(made.folder, name), [])
  const files = [...made.manifest.files, { ...plain, name, stored: { ...stored, path: name } }]
  await writeManifest(made.folder, { ...made.manifest, files })
  return made.folder
}
const bring = async (backup: string, options: Parameters<typeof cluster>[0] = {}) => {
  rmSync(join(folder, 'restarts'), { force: true })
  const done = await withFakeKubectl(cluster(options), () =>
    restoreCertificates('demo', backup, undefined),
  )
  const restarts = existsSync(join(folder, 'restarts'))
    ? readFileSync(join(folder, 'restarts'), 'utf8').trim().split('\n').length
    : 0
  return { ...done, restarts }
}

test('what Traefik lacks is brought and it restarts, again where it has written over it; a second time nothing happens', async () => {
  write(storeOf(other))
  const backup = await makeSaved(storeOf(app, crm))
  const old = join(folder, 'memory')
  writeFileSync(old, readFileSync(path))
  const restart = `if [ -e '${old}' ]; then cat '${old}' >'${path}'; rm '${old}'; fi`
  const first = await bring(backup, { restart })
  assert.is(first.error, undefined, first.error?.message)
  assert.is(first.restarts, 2)
  assert.equal(read(), storeOf(other, app, crm))
  assert.is(statSync(path).mode & 0o777, 0o600)
  assert.not(existsSync(`${path}.restored`))
  const again = await bring(backup)
  assert.equal([again.error, again.restarts], [undefined, 0])
})

test('a run that was killed before Traefik restarted is brought to its end by the next', async () => {
  write(storeOf(app))
  writeFileSync(`${path}.restored`, '')
  const { error, restarts } = await bring(await makeSaved(storeOf(app)))
  assert.equal([error, restarts], [undefined, 1])
  assert.not(existsSync(`${path}.restored`))
})

test('where Traefik writes over them each time it ends with 5', async () => {
  write(storeOf(other))
  writeFileSync(join(folder, 'memory'), readFileSync(path))
  const restart = `cat '${folder}/memory' >'${path}'`
  const { error, restarts } = await bring(await makeSaved(storeOf(app)), { restart })
  assert.is(error?.code, 5)
  assert.match(error?.why, 'written over them each time')
  assert.is(restarts, 3)
})

test('refused: without the rights, a backup without them or of Compose or of another environment; nothing is touched', async () => {
  write(storeOf(other))
  const saved = await makeSaved(storeOf(app))
  const leftOut = [
    { application: 'traefik', volume: 'traefik-acme', emptied: false, reason: 'nobody looked' },
  ]
  const refused = async (backup: string, why: RegExp, options = {}) => {
    const { error, calls } = await bring(backup, options)
    assert.is(error?.code, 3, error?.message)
    assert.match(error!.why, why)
    assert.not(calls.some(call => / exec | apply /.test(call)))
  }
  await refused(saved, /this account may not: list pods, .*patch deployments/, { allowed: false })
  await refused(await makeSaved(undefined, { leftOut }), /has none: nobody looked/)
  const compose = await makeBackup(mkdtempSync(join(folder, 'compose-')), 'kgc', now)
  await refused(compose.folder, /it is of Compose/)
  await refused(await makeSaved(storeOf(app), { suffix: '.staging' }), /the environment staging/)
  assert.equal(read(), storeOf(other))
})

test('what cannot be done along with it is refused before anything is asked', async () => {
  for (const name of ['go-live', 'drill', 'mask', 'drop-old', 'stay-down'])
    try {
      await runRestoreCommand({
        values: { certificates: true, [name]: true },
        positionals: ['demo'],
      })
      assert.unreachable(name)
    } catch (error) {
      assert.is((error as Failure).code, 2, name)
      assert.match((error as Failure).why, `--${name} does not go with --certificates`)
    }
})

test.run()
