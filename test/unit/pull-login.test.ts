// The pre-flight asks for our own images as the cluster's nodes would.
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { parse } from 'yaml'
import { checkNodePulls } from '../../scripts/lib/deploy/preflight/pull-login.ts'
import { PreflightProblems } from '../../scripts/lib/deploy/preflight/problems.ts'
import { RegistryError } from '../../scripts/lib/images/registry/errors.ts'
import { fetchImageDigest } from '../../scripts/lib/images/registry/client.ts'
import type { Manifest } from '../../scripts/lib/kubernetes/objects.ts'
import { redact } from '../../scripts/lib/redact.ts'
import { repository } from '../sandbox.ts'
import { object, workload } from './manifest-builders.ts'

const test = suite('pull login')
const environment = { images: 'ghcr.io/kgc', namespace: 'kgc-x' }
const base64 = (text: string) => Buffer.from(text).toString('base64')

const api = workload('api', { image: 'ghcr.io/kgc/api:1' })
api.spec.template.spec.imagePullSecrets = [{ name: 'registry-login' }]
const secretOf = (auths: object) =>
  object('Secret', 'registry-login', {
    data: { '.dockerconfigjson': base64(JSON.stringify({ auths })) },
  })
const good = base64('bot:token')

/** A registry that takes this login, or everybody. */
async function asked(live: Manifest[], takes: (login: string) => boolean, all = [api]) {
  const [refusals, warnings, logins] = [new PreflightProblems(), [] as string[], [] as string[]]
  await checkNodePulls(
    environment,
    all,
    live,
    refusals,
    text => void warnings.push(text),
    async (_, login) => {
      logins.push(login)
      if (!takes(login)) throw new RegistryError('denied', 403)
    },
  )
  return { refused: refusals.messages, warnings, logins }
}

test('Vigil-SOC/vigil#315, podtato-head/podtato-head#66: the registry is asked with the login that the nodes have', async () => {
  const takesGood = (login: string) => login === good
  const right = await asked([secretOf({ 'ghcr.io': { auth: good } })], takesGood)
  assert.equal(right, { refused: [], warnings: [], logins: [good] })
  const plain = { 'https://ghcr.io/v2/': { username: 'bot', password: 'token' } }
  assert.equal((await asked([secretOf(plain)], takesGood)).refused, [])
  const wrong = await asked([secretOf({ 'ghcr.io': { auth: base64('bot:old') } })], takesGood)
  assert.match(
    wrong.refused.join(),
    /refuses the nodes ghcr\.io\/kgc\/api:1: the login in the Secret registry-login of kgc-x/,
  )
  assert.is(redact(good), '[secret]')
})

test('podtato-head/podtato-head#66: without a pull secret a refusal is a remark, for a node may have a login of its own', async () => {
  for (const live of [[], [secretOf({ 'other.io': { auth: good } })]]) {
    const { refused, warnings } = await asked(live, () => false)
    assert.equal(refused, [])
    assert.match(warnings.join(), /to nobody without a login.*"Private packages"/)
  }
  assert.equal((await asked([], () => true)).warnings, [])
})

test('nothing is asked where nodes pull already, where it comes sealed, and of images of others', async () => {
  const ready = [{ image: 'ghcr.io/kgc/api:0', ready: true }]
  const pod = object('Pod', 'api-1', { status: { containerStatuses: ready } })
  const sealed = object('SealedSecret', 'registry-login', {})
  const foreign = workload('db', { image: 'postgres:18' })
  for (const [live, all] of [
    [[pod], [api]],
    [[], [api, sealed]],
    [[], [foreign]],
  ] as [Manifest[], Manifest[]][])
    assert.equal((await asked(live, () => false, all)).logins, [])
})

test('a login that is given takes the place of that of this machine, and none is none', async () => {
  const server = createServer(({ headers }, response) => {
    const known = headers.authorization === `Basic ${good}`
    response
      .writeHead(known ? 200 : 401, {
        'www-authenticate': 'Basic realm="x"',
        'docker-content-digest': 'sha256:1',
      })
      .end()
  })
  await new Promise<void>(done => server.listen(0, '127.0.0.1', done))
  const image = `127.0.0.1:${(server.address() as AddressInfo).port}/kgc/api:1`
  try {
    assert.is(await fetchImageDigest(image, good), 'sha256:1')
    const no = await fetchImageDigest(image, '').catch((error: Error) => error)
    assert.is((no as RegistryError).status, 401)
  } finally {
    server.close()
  }
})

test('Vigil-SOC/vigil#315: every pod of the base names the pull secret that the README tells how to make', () => {
  const read = (file: string) => readFileSync(join(repository, 'infra/k8s', file), 'utf8')
  const { patches } = parse(read('base/kustomization.yaml')) as Record<string, any>
  assert.equal(
    patches.map(({ target, patch }: any) => [target.kind, parse(patch)[0].value]),
    [['Deployment|StatefulSet|Job', [{ name: 'registry-login' }]]],
  )
  assert.match(read('README.md'), /secret generic registry-login[^]*kubeseal --format yaml/)
})

test.run()
