// Each step of a deploy, of its put-back and of a rollback fails in turn: what is said and recorded
// in the end is what the API shows.
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { resourceId, type Manifest } from '../../scripts/lib/kubernetes/objects.ts'
import { apiRetryMs } from '../../scripts/lib/kubernetes/kubectl-retry.ts'
import type { Change } from '../../scripts/lib/deploy/change.ts'
import { applyChange, watchChange } from '../../scripts/lib/deploy/steps.ts'
import { smokeRetryWindowMs as proof } from '../../scripts/lib/deploy/verify/verify.ts'
import { recordChange } from '../../scripts/lib/deploy/record.ts'
import type { StoredRelease } from '../../scripts/lib/kubernetes/releases.ts'
import { guardChange } from '../../scripts/lib/deploy/failure.ts'
import { Failure } from '../../scripts/lib/errors.ts'
import { environment, target, withFakeKubectl } from './fake-kubectl.ts'

const test = suite('deploy outcome')
Object.assign(apiRetryMs, { most: 100, pause: 50 })
proof.most = 100

const object = (kind: string, name: string, release: number): Manifest => ({
  apiVersion: kind === 'ConfigMap' ? 'v1' : 'apps/v1',
  kind,
  metadata: { name, labels: { release: String(release) } },
  ...(kind === 'ConfigMap'
    ? { data: {} }
    : { spec: { replicas: 1, selector: {}, template: { spec: { containers: [] } } } }),
})
const stack = { ...object('ConfigMap', 'stack', 1), data: { DOMAIN: 'test.localhost' } }
/** Both are there in release 1 and change; `added` comes with 2, `dropped` goes with it. */
const of = (release: number) => [
  object('ConfigMap', 'settings', release),
  object('Deployment', 'api', release),
  object('Deployment', 'web', release),
]
const one: Manifest[] = [stack, ...of(1), object('Deployment', 'dropped', 1)]
const two: Manifest[] = [stack, ...of(2), object('Deployment', 'added', 2)]

/**
 * An API server whose objects are files. The file `fault` says at which call of a verb what
 * happens: `refused` this once, `part` after the first object, `login` from then on, `gone` from
 * then on, `cut`: done, and gone before it has answered; `lost`: so, and the lock is lost there and
 * then.
 */
const server = `
case "$*" in *--watch-only*) exec sleep 60 ;; *kgc-clock*) date -u +%Y-%m-%dT%H:%M:%SZ; exit ;; esac
case "$*" in *" apply "*) v=apply ;; *" delete "*) v=delete ;; *" replace "*) v=replace ;; *replicasets*) v=watch ;; *) v=other ;; esac
cd "$STATE"; k=0; read -r k 2>/dev/null <"c.$v"; k=$((k + 1)); echo $k >"c.$v"
read -r fv fk fault <fault; hit=; [ "$v $k" = "$fv $fk" ] && hit=$fault; [ "$hit" = lost ] && hit=cut
deny() { echo 'Error from server (Forbidden): no' >&2; exit 1; }
login() { echo 'error: You must be logged in to the server (Unauthorized)' >&2; exit 1; }
gone() { echo 'The connection to the server 127.0.0.1:6443 was refused' >&2; exit 1; }
[ -e from ] && "$(cat from)"
case $hit in refused) deny ;; login | gone) echo $hit >from; $hit ;; esac
each() { while read -r line || [ -n "$line" ]; do kind=\${line#*\\"kind\\":\\"}; kind=\${kind%%\\"*}; name=\${line#*\\"name\\":\\"}; name=\${name%%\\"*}; "$1"; [ "$hit" = part ] && deny; done; }
says() { case $kind in Deployment) echo "deployment.apps/$name" ;; *) echo "configmap/$name" ;; esac; }
add() { printf '%s' "$line" >"objects/$kind $name"; [ "$hit" = cut ] || says; }
drop() { rm -f "objects/$kind $name"; [ "$hit" = cut ] || says; }
case $v in
  apply) each add ;;
  delete) each drop ;;
  replace) cat >record ;;
  *) items=; for file in objects/Deployment*; do name=\${file##* }
      items="$items,{\\"kind\\":\\"Deployment\\",\\"metadata\\":{\\"name\\":\\"$name\\",\\"uid\\":\\"d-$name\\",\\"generation\\":1},\\"spec\\":{\\"replicas\\":1},\\"status\\":{\\"observedGeneration\\":1,\\"replicas\\":1,\\"updatedReplicas\\":1,\\"readyReplicas\\":1,\\"availableReplicas\\":1}},{\\"kind\\":\\"ReplicaSet\\",\\"metadata\\":{\\"name\\":\\"$name-1\\",\\"uid\\":\\"r-$name\\",\\"ownerReferences\\":[{\\"uid\\":\\"d-$name\\"}]}}"; done
    echo "{\\"items\\":[\${items#,}]}" ;;
esac
[ "$hit" = cut ] && { echo gone >from; gone; }
exit 0`

interface Seen {
  code: number
  now: string
  /** By title, the release of what stands. */
  objects: Record<string, string>
  ending: string
}

/** A deploy from release 1 to 2, or a rollback to 1, with a fault in it. */
async function change(
  fault: string,
  { verb = 'deploy' as 'deploy' | 'rollback', smoke = true },
): Promise<Seen> {
  const state = mkdtempSync(join(tmpdir(), 'kgc-api-'))
  const [from, to, numbers] = verb === 'deploy' ? [one, two, [1, 2]] : [two, one, [2, 3]]
  mkdirSync(join(state, 'objects'))
  for (const object of from)
    writeFileSync(join(state, 'objects', resourceId(object)), JSON.stringify(object))
  writeFileSync(join(state, 'fault'), `${fault}\n`)
  const good = {
    number: numbers[0],
    ending: 'succeeded',
    manifests: from,
    images: {},
    checks: [],
  } as unknown as StoredRelease
  const release = {
    ...good,
    number: numbers[1],
    ending: 'applying',
    manifests: to,
    created: to
      .filter(one => !from.some(other => resourceId(other) === resourceId(one)))
      .map(resourceId),
  } as unknown as StoredRelease
  let away = 0
  const lossFailure = () => {
    const gone =
      existsSync(join(state, 'from')) && readFileSync(join(state, 'from'), 'utf8') === 'gone\n'
    away ||= gone ? Date.now() : 0
    return away && Date.now() - away >= (fault.endsWith(' lost') ? 0 : 300)
      ? new Failure(7, 'Hold the lock', 'it could not be renewed for 52 s')
      : undefined
  }
  const names = (all: Manifest[]) => all.map(resourceId)
  const change = {
    ...{
      environment,
      target,
      verb,
      source: {},
      chooseRelease: () => undefined,
      prune: false,
      yes: false,
    },
    started: Date.now(),
    lock: { recordPhase: async () => {}, lossFailure, release: async () => {}, clockOffsetMs: 1 },
    release,
    plan: {
      created: release.created,
      changed: names(to).filter(name => !/stack/.test(name) && !release.created!.includes(name)),
      removed: from.filter(one => !names(to).includes(resourceId(one))),
      generated: [],
      jobs: [],
    },
    facts: { history: [good], manifests: to },
    appliedObjects: [],
    versions: new Map(),
    rotation: { changed: [], late: [] },
    prunedIds: new Set(),
    reached: 'recorded',
    step: 'Apply',
  } as unknown as Change
  process.env.STATE = state
  try {
    const { error } = await withFakeKubectl(server, () =>
      guardChange(change, async () => {
        await watchChange(change, await applyChange(change))
        if (!smoke) throw new Failure(6, 'Smoke test', '1 check fails although everything is ready')
        change.reached = 'verified'
        await recordChange(change)
      }),
    )
    const files = readdirSync(join(state, 'objects'))
    const read = (name: string) => JSON.parse(readFileSync(join(state, name), 'utf8'))
    const objects = Object.fromEntries(
      files.map(name => [name, read(`objects/${name}`).metadata.labels.release]),
    )
    const ending = existsSync(join(state, 'record'))
      ? JSON.parse(read('record').data.release).ending
      : 'applying'
    if (error && !(error instanceof Failure)) throw error
    return { code: error?.code ?? 0, now: error?.serving ?? '', objects, ending }
  } finally {
    // a call that was cut off may still be writing
    rmSync(state, { recursive: true, force: true, maxRetries: 10 })
  }
}

const list = (text = '') => text.split(', ').filter(Boolean)

/** Holds what is said against what stands. */
function compare({ code, now, objects, ending }: Seen, verb: string): void {
  const [before, next, [was, is]] = verb === 'deploy' ? [one, two, [1, 2]] : [two, one, [2, 3]]
  const release = (all: Manifest[]) =>
    Object.fromEntries(all.map(one => [resourceId(one), one.metadata.labels!.release!]))
  const whole = (all: Manifest[]) => assert.equal(objects, release(all), `${code}, ${now}`)
  // what differs from the release before: it is of another, has come or is gone
  const old = release(before)
  const moved = [...new Set([...Object.keys(objects), ...Object.keys(old)])].filter(
    name => objects[name] !== old[name],
  )
  if (code === 0) {
    whole(next)
    return assert.is(ending, 'succeeded')
  }
  const recorded = (wanted: string) =>
    assert.ok(
      [wanted, ...(code === 7 || /may not be recorded/.test(now) ? ['applying'] : [])].includes(
        ending,
      ),
      `${ending}: ${now}`,
    )
  if (code === 5) {
    whole(before)
    recorded('rolled back')
    return assert.match(now, new RegExp(`^release ${was} serves`))
  }
  const [, left] =
    new RegExp(
      `^release ${is} serves and passed the smoke test, but may not be recorded as the serving release(?:; objects that it no longer has may still exist: (.*))?$`,
    ).exec(now) ?? []
  if (now.startsWith(`release ${is} serves`)) {
    assert.ok(['applying', 'succeeded'].includes(ending))
    const more = Object.keys(objects).filter(name => !(name in release(next)))
    return assert.ok(
      more.every(name => list(left).includes(name)),
      `${more} is still there: ${now}`,
    )
  }
  assert.not.match(now, 'proven')
  // the lock may be lost while the answer to the last record is waited for
  if (code !== 7 || ending !== 'succeeded') recorded('broken')
  else whole(next)
  const [, fresh, unsure] =
    new RegExp(
      `in place: (?:((?:(?!; ).)*) of release ${is}(?! or))?(?:; )?(?:(.*) of release ${is} or of release ${was})?; all else of release ${was}`,
    ).exec(now) ?? []
  for (const name of list(fresh))
    assert.ok(moved.includes(name), `${name} is not of release ${is}: ${now}`)
  for (const name of moved)
    assert.ok(
      list(fresh).concat(list(unsure)).includes(name),
      `${name} is of release ${is}: ${now}`,
    )
  if (/nothing could be restored/.test(now)) assert.ok(moved.length || unsure, now)
}

const steps: [
  what: string,
  at: string[],
  how: { verb?: 'deploy' | 'rollback'; smoke?: boolean },
][] = [
  ['a deploy', ['apply 1', 'watch 1', 'delete 1', 'replace 1'], {}],
  [
    'the way back',
    ['apply 2', 'apply 3', 'delete 1', 'watch 2', 'other 1', 'replace 1'],
    { smoke: false },
  ],
  ['a rollback', ['apply 1', 'delete 1', 'replace 1'], { verb: 'rollback' }],
]
for (const [what, at, how] of steps)
  test(`runatlantis/atlantis#3581: each step of ${what} fails in turn, or loses the lock`, async () => {
    // it is the same way: a few are enough of a rollback
    const faults = (step: string) =>
      how.verb
        ? ['login', 'cut']
        : [
            'refused',
            'login',
            ...(/apply/.test(step) ? ['part'] : []),
            ...(/apply|delete/.test(step) ? ['lost'] : []),
            /apply|delete|replace/.test(step) ? 'cut' : 'gone',
          ]
    for (const fault of [
      'none 0 none',
      ...at.flatMap(step => faults(step).map(kind => `${step} ${kind}`)),
    ]) {
      const seen = await change(fault, how)
      try {
        compare(seen, how.verb ?? 'deploy')
      } catch (error) {
        ;(error as Error).message += `\n(${fault}) ${JSON.stringify(seen, null, 1)}`
        throw error
      }
    }
  })

test.run()
