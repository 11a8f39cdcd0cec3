// How far databases are migrated, and what a rollback makes of it.
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Manifest } from '../../scripts/lib/kubernetes/objects.ts'
import type { StoredRelease } from '../../scripts/lib/kubernetes/releases.ts'
import { fetchSchemaVersions } from '../../scripts/lib/deploy/verify/schema-versions.ts'
import {
  describeMigratedSchemas,
  requireCompatibleSchema,
} from '../../scripts/lib/deploy/verify/schema-compatibility.ts'
import { environment, target, withFakeKubectl } from './fake-kubectl.ts'

const test = suite('schema compatibility')
const database = (name: string): Manifest => ({
  kind: 'StatefulSet',
  metadata: { name },
  spec: {
    selector: { matchLabels: { app: name } },
    template: { spec: { containers: [{ name: 'db' }] } },
  },
})
const podOf = (name: string) => ({
  kind: 'Pod',
  metadata: { name: `${name}-0`, labels: { app: name } },
  status: { conditions: [{ type: 'Ready', status: 'True' }] },
})
const manifests = [
  { kind: 'ConfigMap', metadata: { name: 'stack' }, data: { DOMAIN: 'kgc.hu' } },
  database('kgc-db'),
  database('chatwoot-db'),
  database('horilla-db'),
]
/**
 * kgc-db answers when it is asked the second time, chatwoot-db never, horilla-db with nothing;
 * twenty-db is not part of it.
 */
const body = `case "$*" in
  *"get pods"*) echo '${JSON.stringify({ items: ['kgc-db', 'chatwoot-db', 'horilla-db'].map(podOf) })}' ;;
  *exec*kgc-db-0*) if [ -e asked ]; then echo '41 migrations, 0a1b2c3d'; else touch asked; echo 'error dialing backend: EOF' >&2; exit 1; fi ;;
  *exec*chatwoot-db-0*) echo 'connection to server failed' >&2; exit 2 ;;
esac`
const delays = [10, 10]

test('a database that does not answer is asked again, and then not known; one that is not part of it has no head', async () => {
  const { value, calls } = await withFakeKubectl(body, () =>
    fetchSchemaVersions(target, manifests, delays),
  )
  assert.equal(value, { kgc: '41 migrations, 0a1b2c3d', chatwoot: '?' })
  const asked = (name: string) => calls.filter(one => one.includes(`exec ${name}`)).length
  assert.equal(['kgc-db', 'chatwoot-db', 'horilla-db', 'twenty-db'].map(asked), [2, 3, 1, 0])
})

test('moved is what differs, and what was not known then or is not now', () => {
  assert.equal(describeMigratedSchemas({ a: '1' }, { a: '1' }), [])
  assert.equal(describeMigratedSchemas({ a: '1' }, { a: '2' }), ['a: 1 then, 2 now'])
  assert.equal(describeMigratedSchemas({ a: '?' }, { a: '1' }), [
    'a: it could not be asked then, 1 now',
  ])
  assert.equal(describeMigratedSchemas({ a: '1' }, { a: '?' }), [
    'a: 1 then, it cannot be asked now',
  ])
  assert.equal(describeMigratedSchemas({ a: '?' }, { a: '?' }), [
    'a: it could not be asked then, it cannot be asked now',
  ])
  assert.equal(describeMigratedSchemas(undefined, { a: '1' }), ['a: none is recorded then, 1 now'])
  assert.equal(describeMigratedSchemas({ a: '1' }, {}), ['a: 1 then, it is not there now'])
})

test('a rollback over a database of which nothing was known is refused, until that is accepted', async () => {
  const served = {
    number: 3,
    ending: 'succeeded',
    heads: { chatwoot: '?', kgc: '41 migrations, 0a1b2c3d' },
    manifests,
  }
  const history = [served] as unknown as StoredRelease[]
  const chooseRelease = () => history[0]
  const went = (accept: boolean) =>
    withFakeKubectl(body, () =>
      requireCompatibleSchema(
        { environment, target, chooseRelease },
        { history, manifests },
        accept,
      ),
    )
  const { error } = await went(false)
  assert.is(error!.code, 3)
  assert.match(
    error!.why,
    'chatwoot: it could not be asked then, it cannot be asked now; nothing was touched',
  )
  assert.match(error!.next, '--accept-schema')
  assert.is((await went(true)).error, undefined)
})

test.run()
