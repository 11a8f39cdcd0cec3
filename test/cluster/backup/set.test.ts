// Every claim of an environment is in a backup, or on a list with the reason why not; and nothing of what is
// held back after a restore has a way out.
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { planEnvironment } from '../../../scripts/lib/backup/kubernetes/plan.ts'
import type { Manifest } from '../../../scripts/lib/kubernetes/objects.ts'
import {
  keepInside,
  listHeldServices,
  matchesLabels,
} from '../../../scripts/lib/backup/kubernetes/held.ts'
import { findWaysOut } from '../../../scripts/lib/backup/kubernetes/drill/isolation.ts'
import {
  createDrillServices,
  createDrillWorkload,
  isDataServer,
  selectDrilled,
} from '../../../scripts/lib/backup/kubernetes/drill/objects.ts'
import { describeKeptVolume } from '../../../scripts/lib/backup/kubernetes/drill/refuse.ts'
import { build, environments, find, labelsOf, of, podOf, type Json } from '../manifests.ts'

const test = suite('claims in a backup')
/** Each overlay is built once: no test changes these objects. */
const overlays = Object.fromEntries(
  environments.map(environment => [environment, build(`overlays/${environment}`)]),
)

for (const environment of environments)
  test(`${environment}: each claim is a database, files, or left out with a reason, and its Jobs may reach each database`, () => {
    const all = overlays[environment] as Manifest[]
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

for (const environment of environments)
  test(`${environment}: what is held back reaches what its own namespace has, and nothing else`, () => {
    const all = overlays[environment]!
    const policies = of(all, 'NetworkPolicy').filter(({ spec }) => spec.egress)
    const rules = (egress: Json[]) => egress.flatMap(({ to = [] }) => to as Json[])
    const isInside = (peer: Json) => peer.podSelector && !peer.namespaceSelector
    for (const { metadata, spec } of policies.filter(({ metadata }) => metadata.name !== 'names')) {
      const kept = rules(keepInside(spec.egress))
      assert.equal(kept, rules(spec.egress).filter(isInside), metadata.name)
    }
    const names = find(all, 'NetworkPolicy', 'names').spec.egress
    assert.equal(keepInside(names), names)
    const out = policies.filter(({ spec }) => rules(spec.egress).some(({ ipBlock }) => ipBlock))
    assert.ok(out.length >= 5, `${out.length}`)
  })

test('what works by itself is what no Service leads to, as on Compose', () => {
  const all = overlays.production!
  const plans = planEnvironment(all as Manifest[])
  const idle = of(all, 'Deployment')
    .filter(({ metadata }) =>
      plans.some(({ services, databases }) => databases.length && services.includes(metadata.name)),
    )
    .filter(
      one =>
        !of(all, 'Service').some(({ spec }) =>
          matchesLabels({ matchLabels: spec.selector }, labelsOf(one)),
        ),
    )
  assert.equal(idle.map(({ metadata }) => metadata.name).sort(), listHeldServices().sort())
})

for (const environment of environments)
  test(`${environment}: what a drill starts is meant by no Service and no policy but the drill's own`, () => {
    const all = overlays[environment] as Manifest[]
    const own = { folder: '', owner: { apiVersion: 'v1', kind: 'ConfigMap', name: 'x', uid: 'x' } }
    const plans = planEnvironment(all).filter(({ databases }) => databases.length)
    assert.is(plans.length, 4)
    const policies = all.filter(({ kind }) => kind === 'NetworkPolicy')
    for (const plan of plans) {
      const workloads = selectDrilled(all, plan)
      assert.ok(workloads.some(isDataServer) && !workloads.every(isDataServer), plan.folder)
      assert.equal(findWaysOut(all, plan.folder, workloads), [])
      for (const workload of workloads) {
        const made = createDrillWorkload({ ...own, folder: plan.folder }, workload, {
          hostAliases: [],
        })
        const labels = labelsOf(made)
        const means = (selector: Json) => matchesLabels(selector, labels)
        const services = all
          .filter(({ kind }) => kind === 'Service')
          .filter(({ spec }) => spec.selector && means({ matchLabels: spec.selector }))
        assert.equal(services, [])
        const meant = policies.filter(({ spec }) => means(spec.podSelector ?? {}))
        assert.equal(meant.map(({ metadata }) => metadata.name).sort(), ['default-deny', 'names'])
        const claims = podOf(made).volumes.flatMap((one: Json) => one.persistentVolumeClaim ?? [])
        for (const { claimName } of claims) assert.match(claimName, /^drill-/)
      }
      const services = createDrillServices(own, all, workloads)
      assert.ok(services.some(({ name }) => name === plan.databases[0]!.service))
    }
    const metadata = { name: 'proxy' }
    const open = { kind: 'NetworkPolicy', metadata, spec: { podSelector: {}, egress: [{}] } }
    const [plan] = plans
    assert.equal(findWaysOut([open], plan!.folder, selectDrilled(all, plan!)), ['proxy'])
  })

test('a volume that would stay after a drill, or that nothing makes, is named', () => {
  const claim = (storageClassName?: string) =>
    ({
      kind: 'PersistentVolumeClaim',
      metadata: { name: 'files' },
      spec: { storageClassName },
    }) as Manifest
  const of = (reclaimPolicy: string) =>
    [{ kind: 'StorageClass', metadata: { name: 'disk' }, reclaimPolicy }] as Manifest[]
  assert.is(describeKeptVolume(claim('disk'), of('Delete')), undefined)
  assert.match(describeKeptVolume(claim('disk'), of('Retain'))!, 'a copy of the data would stay')
  assert.match(describeKeptVolume(claim(), of('Delete'))!, 'nothing makes a second volume')
})

test('a way out is whatever leads to no pod of the own namespace', () => {
  const own = { podSelector: { matchLabels: { app: 'db' } } }
  const other = { namespaceSelector: {}, podSelector: {} }
  const address = { ipBlock: { cidr: '203.0.113.7/32' } }
  const ports = [{ port: 25 }]
  assert.equal(
    keepInside([{ to: [own, other, address], ports }, { ports }, {}, { to: [address] }]),
    [{ to: [own], ports }],
  )
  assert.equal(keepInside([{ to: [other], ports: [{ port: 53 }] }]).length, 1)
  const labels = { app: 'db', tier: 'a' }
  const chosen = (operator: string, key: string, values?: string[]) =>
    matchesLabels({ matchExpressions: [{ key, operator, ...(values && { values }) }] }, labels)
  assert.equal(
    [
      chosen('In', 'app', ['db']),
      chosen('NotIn', 'app', ['db']),
      chosen('NotIn', 'zone', ['db']),
      chosen('Exists', 'app'),
      chosen('DoesNotExist', 'app'),
      matchesLabels({}, labels),
      matchesLabels({ matchLabels: { app: 'web' } }, labels),
    ],
    [true, false, true, true, false, true, false],
  )
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
