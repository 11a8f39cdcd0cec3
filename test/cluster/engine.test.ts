// The test cluster itself: what the stack's manifests take for granted is there and works.
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { beforeAll } from '../hooks.ts'
import { apply, get, kubectl, namespace, registry, tool } from './cluster.ts'
import { waitUntil } from '../until.ts'

const test = suite('engine')
const place = namespace('kgc-test-engine')
// pulled from the registry: cluster-up pushed it there
const image = `${registry}/kgc-test/pause:1`
const inPlace = (...argv: string[]) => ['--namespace', place, ...argv]
const run = (...command: string[]) =>
  kubectl(inPlace('exec', 'deploy/probe', '--', 'sh', '-c', ...command)).trim()

beforeAll(test, async () => {
  const labels = { app: 'probe' }
  const requests = { cpu: '10m', memory: '16Mi' }
  apply(
    {
      apiVersion: 'v1',
      kind: 'PersistentVolumeClaim',
      metadata: { name: 'data', namespace: place },
      spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '10Mi' } } },
    },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'probe', namespace: place },
      spec: { selector: labels, ports: [{ port: 80 }] },
    },
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'probe', namespace: place },
      spec: {
        selector: { matchLabels: labels },
        strategy: { type: 'Recreate' },
        template: {
          metadata: { labels },
          spec: {
            containers: [
              {
                name: 'probe',
                image,
                resources: { requests },
                volumeMounts: [{ name: 'data', mountPath: '/data' }],
              },
            ],
            volumes: [{ name: 'data', persistentVolumeClaim: { claimName: 'data' } }],
          },
        },
      },
    },
    {
      apiVersion: 'autoscaling/v2',
      kind: 'HorizontalPodAutoscaler',
      metadata: { name: 'probe', namespace: place },
      spec: {
        scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'probe' },
        maxReplicas: 2,
        metrics: [
          {
            type: 'Resource',
            resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 90 } },
          },
        ],
      },
    },
  )
  kubectl(inPlace('rollout', 'status', 'deployment/probe', '--timeout', '90s'), {
    timeout: 100_000,
  })
})

test('one node of Kubernetes 1.36 is Ready', () => {
  const { items } = get('nodes')
  assert.is(items.length, 1)
  assert.match(items[0].status.nodeInfo.kubeletVersion, /^v1\.36\./)
  assert.is(
    items[0].status.conditions.find(({ type }: { type: string }) => type === 'Ready').status,
    'True',
  )
})

test('the pod runs the image that the registry on loopback gave', () => {
  const [pod] = get('pods', ...inPlace()).items
  assert.is(pod.spec.containers[0].image, image)
  assert.match(
    pod.status.containerStatuses[0].imageID,
    /^127\.0\.0\.1:5001\/kgc-test\/pause@sha256:/,
  )
})

test('names are resolved: of the cluster, of a Service, none that is not there', () => {
  const { clusterIP } = get('service', 'probe', ...inPlace()).spec
  assert.match(run('getent hosts kubernetes.default.svc.cluster.local'), /^10\.72\.0\.1 /)
  assert.is(run('getent hosts probe').split(/\s+/)[0], clusterIP)
  assert.is(run('getent hosts absent || echo none'), 'none')
})

test('a claim without a class is bound, and what a pod wrote outlives the pod', () => {
  assert.is(get('pvc', 'data', ...inPlace()).status.phase, 'Bound')
  run('echo kept > /data/file')
  kubectl(inPlace('delete', 'pod', '--selector', 'app=probe', '--grace-period', '1'))
  kubectl(inPlace('rollout', 'status', 'deployment/probe', '--timeout', '60s'), { timeout: 70_000 })
  assert.is(run('cat /data/file'), 'kept')
})

test('logs are there', () => {
  assert.type(kubectl(inPlace('logs', 'deploy/probe')), 'string')
})

test('kubectl top knows the node and the pod, and the autoscaler sees its CPU', async () => {
  await waitUntil('kubectl top node', 60, () =>
    /\d+m/.test(kubectl(['top', 'nodes', '--no-headers'])),
  )
  await waitUntil('kubectl top pod', 60, () =>
    /^probe-\S+\s+\d+m\s+\d+Mi/.test(kubectl(inPlace('top', 'pods', '--no-headers'))),
  )
  const current = await waitUntil(
    'the HPA to have metrics',
    60,
    () => get('hpa', 'probe', ...inPlace()).status.currentMetrics?.[0]?.resource?.current,
  )
  assert.type(current.averageUtilization, 'number')
})

test('a value sealed by kubeseal becomes a Secret; sealed for another namespace it does not validate', async () => {
  const secret = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'sealed', namespace: place },
    stringData: { word: 'opened' },
  }
  const seal = (namespace: string) =>
    tool('kubeseal', ['--format', 'json'], {
      input: JSON.stringify({ ...secret, metadata: { name: 'sealed', namespace } }),
    }).stdout
  const sealed = JSON.parse(seal(place))
  assert.not.match(JSON.stringify(sealed), /opened|b3BlbmVk/)
  tool('kubeseal', ['--validate'], { input: JSON.stringify(sealed) })
  apply(sealed)
  const found = await waitUntil(
    'the Secret',
    30,
    () => get('secret', 'sealed', ...inPlace()).data.word,
  )
  assert.is(Buffer.from(found, 'base64').toString(), 'opened')
  const moved = JSON.parse(seal('elsewhere'))
  moved.metadata.namespace = moved.spec.template.metadata.namespace = place
  assert.is.not(
    tool('kubeseal', ['--validate'], { input: JSON.stringify(moved), nothrow: true }).code,
    0,
  )
})

test('a NetworkPolicy is enforced: only the pod that it lets in comes through', async () => {
  const listen = `$s = IO::Socket::INET->new(LocalPort => 8080, Listen => 5); while ($c = $s->accept) { close $c }`
  const pod = (name: string, command?: string[]) => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: place, labels: { name } },
    spec: {
      terminationGracePeriodSeconds: 1,
      containers: [{ name, image, ...(command ? { command } : {}) }],
    },
  })
  apply(pod('server', ['perl', '-MIO::Socket::INET', '-e', listen]), pod('friend'), pod('stranger'))
  kubectl(
    inPlace(
      'wait',
      '--for',
      'condition=Ready',
      'pod/server',
      'pod/friend',
      'pod/stranger',
      '--timeout',
      '60s',
    ),
    { timeout: 70_000 },
  )
  const { podIP } = get('pod', 'server', ...inPlace()).status
  const call = `exit !IO::Socket::INET->new(PeerAddr => "${podIP}:8080", Timeout => 2)`
  const reaches = (name: string) =>
    tool('kubectl', inPlace('exec', name, '--', 'perl', '-MIO::Socket::INET', '-e', call), {
      nothrow: true,
    }).code === 0
  await waitUntil('both to reach the server', 20, () => reaches('friend') && reaches('stranger'))
  apply({
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name: 'friends', namespace: place },
    spec: {
      podSelector: { matchLabels: { name: 'server' } },
      ingress: [{ from: [{ podSelector: { matchLabels: { name: 'friend' } } }] }],
    },
  })
  await waitUntil('the stranger to be kept out', 20, () => !reaches('stranger'))
  assert.ok(reaches('friend'))
})

test('Pod Security refuses a privileged pod where it is told to', () => {
  kubectl([
    'label',
    'namespace',
    place,
    'pod-security.kubernetes.io/enforce=restricted',
    '--overwrite',
  ])
  const spec = { containers: [{ name: 'bad', image, securityContext: { privileged: true } }] }
  const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'bad', namespace: place }, spec }
  const { code, stderr } = tool('kubectl', ['apply', '--filename', '-'], {
    input: JSON.stringify(pod),
    nothrow: true,
  })
  assert.is(code, 1)
  assert.match(stderr, /violates PodSecurity "restricted/)
})

test.run()
