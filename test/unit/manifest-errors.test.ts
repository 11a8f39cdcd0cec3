// Manifest errors: what is refused before a deploy, in words.
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import {
  explainServerError,
  findManifestErrors,
  findMissingSecretKeys,
  findChangedDatabases,
} from '../../scripts/lib/deploy/preflight/manifest-errors.ts'
import { object, ordered, workload } from './manifest-builders.ts'

const test = suite('manifest errors')

test('a Service must select a pod; what belongs to the cluster is refused', () => {
  const service = (app: string) => object('Service', app, { spec: { selector: { app } } })
  assert.equal(
    findManifestErrors([
      workload('api'),
      service('api'),
      object('Service', 'outside', { spec: { type: 'ExternalName' } }),
    ]),
    [],
  )
  assert.equal(findManifestErrors([workload('api'), service('apl')]), [
    'Service apl selects no pod of this environment: {"app":"apl"}',
  ])
  assert.match(
    findManifestErrors([object('Namespace', 'x')])[0]!,
    'Namespace x belongs to the whole cluster',
  )
  assert.match(
    findManifestErrors([ordered('ConfigMap', 'c', 'first')])[0]!,
    'kgc.hu/order must be one of',
  )
})

test('a database whose user changes is refused: its volume knows the old one alone', () => {
  const db = (user: string) =>
    workload('db', { env: [{ name: 'POSTGRES_USER', value: user }] }, 'StatefulSet')
  assert.equal(findChangedDatabases([db('postgres')], [db('postgres')]), [])
  assert.equal(findChangedDatabases([db('postgres')], [workload('db')]), [])
  assert.match(
    findChangedDatabases([db('postgres')], [db('app')]).join(),
    'StatefulSet db: its volume was created with POSTGRES_USER app: dump and restore',
  )
})

test('a key that a pod needs must be sealed and not empty; optional ones and those in the cluster are fine', () => {
  const needs = (key: string, optional = false) =>
    workload('api', {
      env: [{ name: 'K', valueFrom: { secretKeyRef: { name: 's', key, optional } } }],
    })
  const sealed = object('SealedSecret', 's', {
    spec: { encryptedData: { FULL: 'AgB…', EMPTY: '' } },
  })
  assert.equal(findMissingSecretKeys([needs('FULL'), sealed], new Map()), [])
  assert.equal(findMissingSecretKeys([needs('EMPTY'), sealed], new Map()), [
    'EMPTY of s is missing or empty',
  ])
  assert.equal(findMissingSecretKeys([needs('EMPTY', true), sealed], new Map()), [])
  assert.equal(findMissingSecretKeys([needs('LIVE')], new Map([['s', ['LIVE']]])), [])
  assert.equal(
    findMissingSecretKeys(
      [workload('api', { envFrom: [{ secretRef: { name: 's' } }] })],
      new Map(),
    ),
    ['the Secret s is not there'],
  )
})

test('what the cluster will not take is said with the way round', () => {
  assert.match(
    explainServerError(
      'The StatefulSet "kgc-db" is invalid: spec: Forbidden: updates to statefulset spec for fields other than \'replicas\' are forbidden',
    ),
    /StatefulSet kgc-db: .*kubectl delete statefulset kgc-db --cascade=orphan/,
  )
  assert.match(
    explainServerError(
      'The Deployment "kgc-api" is invalid: spec.selector: Invalid value: {}: field is immutable',
    ),
    /Deployment kgc-api: .*\(spec.selector\); restore it/,
  )
  assert.match(
    explainServerError(
      'Error from server (NotFound): error when creating "STDIN": namespaces "kgc-x" not found',
    ),
    /namespace kgc-x is not there/,
  )
  assert.match(
    explainServerError(
      'error: resource mapping not found: no matches for kind "SealedSecret" in version "bitnami.com/v1alpha1"',
    ),
    /does not know SealedSecret/,
  )
})

test('kubernetes/kubernetes#99399, helm/charts#15563: one refused object is one reason, with its causes and a way on', () => {
  const volume = [
    'Error from server (Invalid): PersistentVolumeClaim "media" is invalid: spec: Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims',
    '@@ -1,6 +1,6 @@',
    ' {',
    '- "AccessModes": ["ReadWriteOnce"],',
    '+ "AccessModes": ["ReadWriteMany"],',
    '  "Selector": null,',
  ]
  assert.match(
    explainServerError(volume.join('\n')),
    /^PersistentVolumeClaim media: .*its size.*another name and copy its data$/,
  )
  const faults =
    'Error from server (Invalid): Deployment.apps "web" is invalid: [spec.replicas: Invalid value: -1, spec.template.spec.containers[0].image: Required value]'
  assert.match(explainServerError(faults), /^Deployment web is invalid: \[spec.*Required value\]$/)
})

const mixed =
  'Error from server (Invalid): Deployment.apps "web" is invalid: spec.template.spec.containers[0].env[1].valueFrom: Invalid value: "": may not be specified when `value` is not empty'

test('kubernetes/kubernetes#46861: a variable that was set by hand is refused with what takes it out', () => {
  const secret = { name: 'PASSWORD', valueFrom: { secretKeyRef: { name: 's', key: 'k' } } }
  const wanted = workload('web', { name: 'main', env: [secret] })
  const live = workload('web', {
    name: 'main',
    env: [
      { name: 'A', value: '1' },
      { name: 'PASSWORD', value: 'x' },
    ],
  })
  assert.is(
    explainServerError(mixed, wanted, live),
    'Deployment web: PASSWORD of main was set by hand, beside what the release says: `kubectl set env deployment/web --containers main PASSWORD-`, then the same command again',
  )
  assert.match(explainServerError(mixed, live, wanted), /PASSWORD of main was set by hand/)
  assert.match(
    explainServerError(mixed, workload('web'), workload('web')),
    /may not be specified when/,
  )
})

test('kubernetes/kubernetes#46861: so is every other field that stands beside ours, with who has set it', () => {
  const live = workload('web')
  live.metadata.managedFields = [
    { manager: 'kubectl', operation: 'Apply', fieldsV1: {} },
    { manager: 'kube-controller-manager', operation: 'Update', subresource: 'status' },
    { manager: 'kubectl-edit', operation: 'Update', time: '2026-11-02T10:00:00Z' },
  ]
  const errors = [
    "spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'",
    'spec.template.spec.volumes[0].emptyDir: Forbidden: may not specify more than 1 volume type',
    'spec.template.spec.containers[0].livenessProbe.tcpSocket: Forbidden: may not specify more than 1 handler type',
  ]
  for (const error of errors)
    assert.match(
      explainServerError(
        `Error from server (Invalid): Deployment.apps "web" is invalid: ${error}`,
        workload('web'),
        live,
      ),
      /^Deployment web: (spec\.\S+) was set by hand \(kubectl-edit, 2026-11-02\), beside what the release says: take it out by `kubectl edit deployment web`, then the same command again$/,
    )
  const own = `Error from server (Invalid): Deployment.apps "web" is invalid: ${errors[0]}`
  assert.match(
    explainServerError(own, workload('web'), workload('web')),
    /^Deployment web is invalid/,
  )
})

test.run()
