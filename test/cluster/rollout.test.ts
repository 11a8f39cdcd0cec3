// Rollouts on a real cluster, all at once in a namespace: the watch names what fails, how long that took, and does not call the slow one failed.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { kubectl, namespace } from './cluster.ts'
import { placeIn } from './deploy/place.ts'
import { way, type Way } from './way.ts'
import { evidence, watch } from '../../scripts/lib/rollout/rollout.ts'

const test = suite('rollout')
const kubeconfig = process.env.KGC_TEST_KUBECONFIG!
process.env.PATH = [join(dirname(kubeconfig), 'bin'), process.env.PATH].join(delimiter)
const space = namespace('kgc-t-rollout')
const place = placeIn(space)
const fileOf = (name: string) => join(import.meta.dirname, 'failures', `${name}.yaml`)
const apply = (...names: string[]) => kubectl(['apply', '--namespace', space, ...names.flatMap(name => ['--filename', fileOf(name)])])
let since = 0

test.before(() => {
  since = Date.now()
  apply('image-missing', 'job', 'secret-key', 'memory', 'crash', 'slow')
})

/** Waits for one, and says how long it took from the apply. */
async function wait(name: string, kind = 'Deployment', stable = 5_000) {
  const found = (await watch({ place, names: [{ kind, name }], since, timeout: 240_000, stable })).get(`${kind} ${name}`)!
  console.error(`  ${name}: ${found.state} ${((Date.now() - since) / 1000).toFixed(1)} s after the apply: ${found.detail}`)
  return found
}

const failures: [string, string, RegExp, RegExp][] = [
  ['image-missing', 'Deployment', /ErrImagePull|ImagePullBackOff/, /not in its registry/],
  ['job', 'Job', /BackoffLimitExceeded/, /relation users already exists/],
  ['secret-key', 'Deployment', /CreateContainerConfigError/, /Secret half-secrets has no key DB_PASSWORD/],
  ['memory', 'Deployment', /OOMKilled|CrashLoop/, /more memory than its limit of 32Mi/],
  ['crash', 'Deployment', /CrashLoop/, /KGC_SETTING is not set/],
]
for (const [name, kind, reason, words] of failures)
  test(`${name}: its cause is named`, async () => {
    const { state, cause } = await wait(name, kind)
    assert.is(state, 'failed')
    assert.is(cause!.name, name)
    assert.match(cause!.reason, reason)
    assert.match(`${cause!.likely}\n${await evidence(cause!, place)}`, words)
    assert.match(cause!.next, /^(kubectl --namespace kgc-t-rollout|docker)/)
  })

test('the slow one is waited for until it is ready', async () => {
  assert.is((await wait('slow', 'Deployment', 0)).state, 'ready')
})

test('an API server that is out of reach for 20 s is no failure', async () => {
  const box = mkdtempSync(join(tmpdir(), 'kgc-rollout-'))
  const config = readFileSync(kubeconfig, 'utf8')
  const [, port] = /server: "?https:\/\/127\.0\.0\.1:(\d+)/.exec(config)!
  const { cut, close, port: own } = await way(Number(port))
  writeFileSync(join(box, 'kubeconfig'), config.replace(`127.0.0.1:${port}`, `127.0.0.1:${own}`), { mode: 0o600 })
  process.env.KUBECONFIG = join(box, 'kubeconfig')
  const steps: [number, Parameters<Way['cut']>[0]][] = [[3_000, 'closed'], [11_000, 'silent'], [23_000, undefined]]
  const timers = steps.map(([after, how]) => setTimeout(() => cut(how), after))
  const write = process.stderr.write
  let said = ''
  process.stderr.write = ((text: string) => Boolean((said += text))) as typeof write
  try {
    apply('healthy')
    since = Date.now()
    const names = ['Deployment', 'StatefulSet'].map(kind => ({ kind, name: 'healthy' }))
    const found = await watch({ place, names, since, timeout: 240_000, stable: 10_000 })
    assert.equal([...found.values()].map(({ state }) => state), ['ready', 'ready'])
    assert.ok(Date.now() - since >= 33_000, 'it was ready before, and must be so for 10 s after')
  } finally {
    process.stderr.write = write
    process.env.KUBECONFIG = kubeconfig
    timers.forEach(clearTimeout)
    close()
    rmSync(box, { recursive: true })
  }
  assert.match(said, /the API server does not answer[^]*no answer for [^]*the API server answers again, after (1[5-9]|[2-9]\d)\.\d s/)
})

test.run()
