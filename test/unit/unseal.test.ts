// What waits for the Sealed Secrets controller: its answers are those of sealed-secrets 0.27
// (status.observedGeneration, condition Synced).
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Manifest } from '../../scripts/lib/kubernetes/objects.ts'
import { applyInOrder } from '../../scripts/lib/deploy/apply/apply.ts'
import type { Change } from '../../scripts/lib/deploy/change.ts'
import { applyChange } from '../../scripts/lib/deploy/steps.ts'
import { restoreRelease } from '../../scripts/lib/deploy/restore.ts'
import type { RolloutOptions } from '../../scripts/lib/rollout/wait.ts'
import type { StoredRelease } from '../../scripts/lib/kubernetes/releases.ts'
import {
  readUnsealError,
  waitUntilUnsealed,
  splitAfterSecrets,
} from '../../scripts/lib/deploy/apply/unseal.ts'
import { Failure } from '../../scripts/lib/errors.ts'
import { environment, target, withFakeKubectl } from './fake-kubectl.ts'

const test = suite('unseal')
const object = (kind: string, name: string): Manifest => ({ kind, metadata: { name }, spec: {} })
const sealed = (name = 'shop-secrets', said: object = {}, generation = 2) => ({
  kind: 'SealedSecret',
  metadata: { name, generation },
  status: { observedGeneration: 2, conditions: [{ type: 'Synced', status: 'True' }], ...said },
})
const wrong = {
  conditions: [
    { type: 'Synced', status: 'False', message: 'no key could decrypt secret (PASSWORD)' },
  ],
}
const lock = {
  recordPhase: async () => {},
  lossFailure: () => undefined,
  release: async () => {},
  clockOffsetMs: 1,
}
const all = [
  object('ConfigMap', 'c'),
  object('SealedSecret', 'shop-secrets'),
  object('StatefulSet', 'db'),
  object('Deployment', 'web'),
]

/** A kubectl that says what it applies, and of the SealedSecrets `first` twice, then `then`. */
const body = (first: object, then: object) => `case "$*" in
  *apply*) echo "applied $(grep -o '"kind":"[A-Za-z]*"' | cut -d'"' -f4 | tr '\\n' ' ')" >>calls ;;
  *sealedsecrets*) echo >>asked; if [ $(wc -l <asked) -gt 2 ]; then echo '${JSON.stringify(then)}'; else echo '${JSON.stringify(first)}'; fi ;;
  *" get "*) echo '{"items":[]}' ;;
esac`
const put = (first: object, then: object, list = all) => {
  const touched: string[] = []
  const wait: RolloutOptions = { environment, what: 'Deploy', since: Date.now(), stableMs: 0, lock }
  const work = () => applyInOrder(wait, list, [], ({ kind }) => touched.push(kind))
  return withFakeKubectl(body(first, then), work).then(ended => ({ ...ended, touched }))
}
function describeCall(call: string): string {
  if (call.startsWith('applied ')) return call.trim()
  return call.includes('sealedsecrets') ? 'look' : ''
}
const order = ({ calls }: { calls: string[] }) => calls.map(describeCall).filter(Boolean)

test('objects are cut behind what is sealed, not behind each', () => {
  const kinds = (list: Manifest[]) =>
    splitAfterSecrets(list).map(part => part.map(({ kind }) => kind))
  assert.equal(kinds(all), [
    ['ConfigMap', 'SealedSecret'],
    ['StatefulSet', 'Deployment'],
  ])
  assert.equal(kinds([all[1]!, all[1]!, all[3]!, all[1]!]), [
    ['SealedSecret', 'SealedSecret'],
    ['Deployment', 'SealedSecret'],
  ])
  assert.equal(kinds([all[0]!, all[3]!]), [['ConfigMap', 'Deployment']])
})

test('one is open when the controller has seen this writing of it and says so', () => {
  assert.is(readUnsealError(sealed()).words, '')
  assert.match(readUnsealError(sealed('a', {}, 3)).words, 'has not unsealed it')
  assert.match(readUnsealError({ ...sealed(), status: undefined }).words, 'has not unsealed it')
  assert.equal(readUnsealError(sealed('a', wrong)), {
    words: 'no key could decrypt secret (PASSWORD)',
    no: true,
  })
  assert.match(readUnsealError(undefined).words, 'not there any more')
})

test('what comes after a SealedSecret is applied when that is open', async () => {
  const late = await put(sealed('shop-secrets', {}, 3), sealed())
  assert.is(late.error, undefined)
  assert.equal(order(late), [
    'applied ConfigMap SealedSecret',
    'look',
    'look',
    'look',
    'applied StatefulSet Deployment',
  ])
  assert.match(
    late.calls.find(one => one.includes('sealedsecrets'))!,
    ' get sealedsecrets shop-secrets ',
  )
  const slow = await put(sealed('shop-secrets', wrong), sealed())
  assert.is(slow.error, undefined, 'it said no before it could')
})

test('where nothing is sealed nobody is asked', async () => {
  const plain = await put({}, {}, [object('Secret', 's'), object('Deployment', 'web')])
  assert.equal(order(plain), ['applied Secret', 'applied Deployment'])
})

test('one that cannot be opened ends the change before anything else is touched', async () => {
  const no = await put(sealed('shop-secrets', wrong), sealed('shop-secrets', wrong))
  const { code, why, next } = no.error as Failure
  assert.is(code, 6)
  assert.is(why, 'SealedSecret shop-secrets: no key could decrypt secret (PASSWORD)')
  assert.match(
    next!,
    /get sealedsecret shop-secrets --output yaml, or npx zx scripts\/seal\.ts test --check$/,
  )
  assert.equal(no.touched, ['ConfigMap', 'SealedSecret'])
  assert.ok(no.ms < 15_000, `${no.ms} ms`)
})

test('a controller that is not there is waited for until the time is over', async () => {
  const list = [object('SealedSecret', 'shop-secrets'), object('SealedSecret', 'other')]
  const answer = { items: [sealed('shop-secrets', {}, 3), sealed('other')] }
  const work = () =>
    waitUntilUnsealed(environment, list, undefined, { most: 700, pause: 100, no: 100 })
  const { error, ms } = await withFakeKubectl(`echo '${JSON.stringify(answer)}'`, work)
  assert.match(
    error!.message,
    /^Unseal the secrets: SealedSecret shop-secrets: the Sealed Secrets controller has not unsealed it[^;]*$/,
  )
  assert.ok(ms >= 700, `${ms} ms`)
  const gone = await withFakeKubectl('true', work)
  assert.match(gone.error!.message, 'shop-secrets: it is not there any more; SealedSecret other')
})

test('what an interrupted change has sealed is waited for by the next one, though that does not change it', async () => {
  for (const [ending, first] of [
    ['interrupted', 'SealedSecret'],
    ['succeeded', 'Deployment'],
  ]) {
    const history = [
      { number: 5, ending, manifests: all },
      { number: 4, ending: 'succeeded', manifests: all },
    ]
    const plan = { created: [], changed: ['Deployment web'], removed: [], generated: [], jobs: [] }
    const change = {
      environment,
      target,
      verb: 'deploy',
      lock,
      appliedObjects: [],
      versions: new Map(),
      rotation: { changed: [], late: [] },
      plan,
      facts: { history, manifests: all, live: [] },
    } as unknown as Change
    const went = await withFakeKubectl(body(sealed(), sealed()), () => applyChange(change))
    assert.is(went.error?.stack, undefined)
    assert.is(order(went)[0], `applied ${first}`)
    assert.is(order(went).at(-1), 'applied Deployment')
  }
})

test('the way back waits too, restores what it can, and says what is not open', async () => {
  const good = {
    number: 4,
    ending: 'succeeded',
    manifests: all,
    images: {},
  } as unknown as StoredRelease
  const release = {
    ...good,
    number: 5,
    ending: 'applying',
    created: [],
  } as unknown as StoredRelease
  const change = {
    environment,
    target,
    verb: 'deploy',
    source: {},
    chooseRelease: () => undefined,
    prune: false,
    yes: false,
    started: Date.now(),
    step: 'Watch',
    reached: 'applied',
    lock,
    release,
    appliedObjects: all,
    versions: new Map(),
    rotation: { changed: [], late: [] },
    plan: { created: [], changed: ['Deployment web'], removed: [], generated: [], jobs: [] },
    facts: { history: [good], manifests: all },
  } as unknown as Change
  const { value, calls, error } = await withFakeKubectl(
    body(sealed('shop-secrets', wrong), sealed('shop-secrets', wrong)),
    () => restoreRelease(change, new Failure(6, 'Deploy', 'x')),
  )
  assert.is(error, undefined)
  assert.is(value!.code, 6)
  assert.match(
    value!.serving!,
    'release 4 was restored, but Unseal the secrets: SealedSecret shop-secrets: no key could decrypt',
  )
  const done = order({ calls })
  assert.is(done[0], 'applied ConfigMap SealedSecret')
  assert.equal([done[1], done.at(-1)], ['look', 'applied Deployment StatefulSet'])
  assert.is(release.ending, 'broken')
})

test.run()
