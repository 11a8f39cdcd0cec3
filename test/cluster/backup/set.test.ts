// Every claim of an environment is in a backup, or on a list with the reason why not.
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { planEnvironment } from '../../../scripts/lib/backup/kubernetes/plan.ts'
import type { Manifest } from '../../../scripts/lib/kubernetes/objects.ts'
import { build, environments, find, of, podOf, type Json } from '../manifests.ts'

const test = suite('claims in a backup')

for (const environment of environments)
  test(`${environment}: each claim is a database, files, or left out with a reason, and its Jobs may reach each database`, () => {
    const all = build(`overlays/${environment}`) as Manifest[]
    const plans = planEnvironment(all)
    const planned = plans.flatMap(({ databases, files, leftOut }) => [
      ...databases.map(({ volume }) => volume),
      ...[...files, ...leftOut].map(({ name }) => name),
    ])
    const claims = [
      ...of(all, 'PersistentVolumeClaim').map(({ metadata }) => metadata.name),
      ...of(all, 'StatefulSet').flatMap(({ metadata, spec }) =>
        (spec.volumeClaimTemplates ?? []).map(
          (one: Json) => `${one.metadata.name}-${metadata.name}-0`,
        ),
      ),
    ]
    assert.equal(planned.sort(), claims.sort())
    const databases = plans.flatMap(one => one.databases.map(({ database }) => database))
    assert.is(databases.length, 4)
    for (const database of databases) {
      assert.ok(find(all, 'NetworkPolicy', `${database}-backup`))
      const [rule] = find(all, 'NetworkPolicy', `${database}-db`).spec.ingress
      assert.match(JSON.stringify(rule.from), `"${database}-backup"`)
    }
  })

test('a claim that nobody has decided about is refused by name, with the file to write', () => {
  const all = build('overlays/production') as Manifest[]
  const web = find(all, 'Deployment', 'horilla-web')
  podOf(web).volumes.push({ name: 'new', persistentVolumeClaim: { claimName: 'horilla-new' } })
  assert.throws(
    () => planEnvironment(all),
    ({ why, next }: { why: string; next: string }) =>
      /horilla-new/.test(why) && /infra\/docker\/horilla-hr\/backup.yaml/.test(next),
  )
})

test.run()
