// What pods read in Secrets is never said, in whatever form it comes back; what they cannot read is
// left alone.
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { keepSecret, redact } from '../../scripts/lib/redact.ts'
import { redactSecretsOf } from '../../scripts/lib/kubernetes/secret-values.ts'

const test = suite('secret values')
const secret = (name: string, data: Record<string, string>) => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name },
  stringData: data,
})
const workload = (pod: object) => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'one' },
  spec: { template: { spec: { containers: [], ...pod } } },
})
const key = (name: string, key: string) =>
  workload({ containers: [{ env: [{ name: key, valueFrom: { secretKeyRef: { name, key } } }] }] })

test('a key that a container reads', () => {
  redactSecretsOf([
    secret('a', { KEY: 'value-of-a-key', DOMAIN: 'kgc.localhost' }),
    key('a', 'KEY'),
  ])
  assert.is(redact('it is value-of-a-key at kgc.localhost'), 'it is [secret] at kgc.localhost')
})

test('all keys of a Secret that comes as a whole: envFrom, a volume, a part of one, an init container', () => {
  for (const [n, pod] of [
    { containers: [{ envFrom: [{ secretRef: { name: 'b0' } }] }] },
    { volumes: [{ name: 'v', secret: { secretName: 'b1' } }] },
    { volumes: [{ name: 'v', projected: { sources: [{ secret: { name: 'b2' } }] } }] },
    { initContainers: [{ envFrom: [{ secretRef: { name: 'b3' } }] }] },
  ].entries()) {
    redactSecretsOf([
      { ...secret(`b${n}`, {}), data: { KEY: Buffer.from(`whole-value-${n}`).toString('base64') } },
      workload(pod),
    ])
    assert.is(redact(`whole-value-${n}`), '[secret]')
  }
})

test('in JSON, line by line, in an address, and the password of one', () => {
  const values = {
    QUOTED: 'with "quotes" in it',
    LINES: 'first line of the key\nsecond line of the key',
    URL: 'postgresql://kgc:p%40ssword-of-it@db:5432/kgc',
  }
  redactSecretsOf([secret('c', values), ...Object.keys(values).map(name => key('c', name))])
  assert.is(redact(JSON.stringify({ said: values.QUOTED })), '{"said":"[secret]"}')
  assert.is(redact('  second line of the key'), '  [secret]')
  assert.is(redact(JSON.stringify(values.LINES)), '"[secret]"')
  assert.is(
    redact('cannot log in with p@ssword-of-it or p%40ssword-of-it'),
    'cannot log in with [secret] or [secret]',
  )
  assert.is(redact(`?to=${encodeURIComponent(values.URL)}`), '?to=[secret]')
})

test('one that begins like another leaves nothing of it', () => {
  keepSecret('begin-of')
  keepSecret('begin-of-it-and-more')
  assert.is(redact('begin-of-it-and-more'), '[secret]')
})

test.run()
