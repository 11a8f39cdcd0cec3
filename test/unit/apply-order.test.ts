// Apply order: which objects are applied first, and which are removed.
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { resourceId, type Manifest } from '../../scripts/lib/kubernetes/objects.ts'
import { sortForApply, findOrphans } from '../../scripts/lib/deploy/apply/order.ts'
import { object, ordered } from './manifest-builders.ts'

const test = suite('apply order')
const titles = (all: Manifest[]) => all.map(resourceId)

test('the order is that of kgc.hu/order, and inside that of the kinds', () => {
  const all = [
    ordered('Ingress', 'i', 'edge'),
    ordered('Deployment', 'web', 'application'),
    ordered('Service', 'web', 'application'),
    ordered('Job', 'm', 'migrate'),
    ordered('StatefulSet', 'db', 'data'),
    ordered('ConfigMap', 'c', 'data'),
  ]
  assert.equal(titles(sortForApply(all)), [
    'ConfigMap c',
    'StatefulSet db',
    'Job m',
    'Service web',
    'Deployment web',
    'Ingress i',
  ])
  assert.equal(
    titles(sortForApply([object('Deployment', 'web'), object('NetworkPolicy', 'n')])),
    ['NetworkPolicy n', 'Deployment web'],
    'without the annotation',
  )
})

test("removed is what a release had and this one has not; data, secrets and what is the cluster's never", () => {
  const kinds = [
    'Deployment',
    'Service',
    'PersistentVolumeClaim',
    'Secret',
    'SealedSecret',
    'Namespace',
    'CustomResourceDefinition',
  ]
  const { removed } = findOrphans(
    [object('Deployment', 'stays')],
    [[object('Deployment', 'stays'), ...kinds.map(kind => object(kind, 'old'))]],
    [],
    [],
  )
  assert.equal(titles(removed), ['Deployment old', 'Service old'])
})

test('what an interrupted release has brought is removed, too; what is older than the last good one is not looked for', () => {
  const [killed, good, older] = ['killed', 'good', 'older'].map(name => [
    object('Deployment', name),
  ]) as [Manifest[], Manifest[], Manifest[]]
  assert.equal(
    titles(findOrphans([object('Deployment', 'good')], [killed, good], [older], []).removed),
    ['Deployment killed'],
  )
})

test('a generated ConfigMap goes when nothing that may start a pod names it, however old it is', () => {
  const map = (name: string) => object('ConfigMap', name)
  const holder = {
    spec: {
      template: {
        spec: { containers: [{ envFrom: [{ configMapRef: { name: 'a-5c9t8d7m6k' } }] }] },
      },
    },
  }
  const { removed, generated } = findOrphans(
    [],
    [[map('a-5c9t8d7m6k'), map('b-6c9t8d7m6k'), map('plain')]],
    [[map('c-7c9t8d7m6k')]],
    [holder],
  )
  assert.equal(titles(generated), ['ConfigMap b-6c9t8d7m6k', 'ConfigMap c-7c9t8d7m6k'])
  assert.equal(titles(removed), ['ConfigMap plain'])
})

test.run()
