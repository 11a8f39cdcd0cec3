// Releases restored on a real cluster, exactly as they were.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { kubectl } from '../cluster.ts'
import { createTestEnvironment } from './test-environment.ts'

const test = suite('rollback')
const { space, box, write, run, get, releases } = createTestEnvironment('kgc-t-rollback')
const versionFile = join(box.docker, 'alpha/schema-version.ts')
const rollback = (...argv: string[]) => run(['rollback', 'test', ...argv])
const extra = {
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name: 'extra', annotations: { 'kgc.hu/order': 'data' } },
  data: { A: '1' },
}
const configOf = () =>
  get('deployment', 'alpha').spec.template.spec.containers[0].envFrom[0].configMapRef.name
const names = () => get('configmaps').items.map(({ metadata }: any) => metadata.name)
const migrated = (head: string) =>
  kubectl(['exec', '--namespace', space, 'beta-0', '--', 'redis-cli', 'set', 'head', head])
const configs: string[] = []

test('before a second release there is nothing to go back to', () => {
  assert.match(rollback('--list').stdout, 'No release of test is recorded yet')
  write({ more: [extra] })
  assert.is(run(['deploy', 'test']).code, 0)
  const { code, stderr } = rollback()
  assert.is(code, 3, stderr)
  assert.match(stderr, 'no other release has served before this one')
})

test('the release before comes back: what it had and what it had not', () => {
  configs.push(configOf())
  migrated('20260101_first')
  write({ config: { A: '2' } })
  assert.is(run(['deploy', 'test']).code, 0)
  assert.not.ok(names().includes('extra'))
  const job = get('job', 'migrate').metadata.uid
  const unknown = rollback()
  assert.is(unknown.code, 3, unknown.stderr)
  assert.match(unknown.stderr, 'alpha: none is recorded then, 20260101_first now')
  const { code, stderr, stdout } = rollback('--accept-schema')
  assert.is(code, 0, stderr)
  assert.match(stdout, 'test serves release 3 (rollback to 1, ')
  assert.is(configOf(), configs[0])
  assert.ok(names().includes('extra'))
  assert.is(get('job', 'migrate').metadata.uid, job, 'no migration runs')
})

test('any release can be named; a dry run only says what it would do', () => {
  const dry = rollback('2', '--dry-run')
  assert.is(dry.code, 0, dry.stderr)
  assert.match(dry.stderr, 'removed: ConfigMap extra')
  assert.is(configOf(), configs[0])
  const { code, stderr } = rollback('2')
  assert.is(code, 0, stderr)
  assert.is.not(configOf(), configs[0])
  assert.not.ok(names().includes('extra'))
})

test('the releases are listed, and two are compared', () => {
  assert.match(
    rollback('--list').stdout,
    /▸ +4 +rollback to 2 +succeeded.*\n +3 +rollback to 1 +succeeded.*\n +2 +deploy.*\n +1 +deploy/,
  )
  const list = rollback('--list', '--json')
    .stdout.trim()
    .split('\n')
    .map(line => JSON.parse(line))
  assert.equal(
    list.filter(({ serving }) => serving).map(({ number }) => number),
    [4],
  )
  assert.match(rollback('--diff', '1', '2').stdout, /^-\s+A: "1"$/m)
  assert.match(rollback('--diff', '2', '4').stdout, 'They are the same.')
  assert.match(rollback('9').stderr, 'one of: 4, 3, 2, 1')
})

test('when a database was migrated since, it refuses and says what moved, until that is accepted', () => {
  assert.equal(releases()[1]!.heads, { alpha: '20260101_first' })
  migrated('20260202_second')
  const { code, stderr } = rollback('3')
  assert.is(code, 3, stderr)
  assert.match(stderr, 'alpha: 20260101_first then, 20260202_second now')
  const heads = readFileSync(versionFile, 'utf8')
  writeFileSync(
    versionFile,
    `export const schemaVersion = async () => { throw new Error('no answer') }\n`,
  )
  const unknown = rollback('3')
  assert.is(unknown.code, 3, unknown.stderr)
  assert.match(unknown.stderr, 'alpha: 20260101_first then, it cannot be asked now')
  writeFileSync(versionFile, heads)
  const accepted = rollback('3', '--accept-schema')
  assert.is(accepted.code, 0, accepted.stderr)
})

test('a release that never served is not restored', () => {
  write({ config: { A: '7' }, env: { SMOKE: 'broken' } })
  assert.is(run(['deploy', 'test']).code, 5)
  const { code, stderr } = rollback(String(releases().at(-1)!.number))
  assert.is(code, 3, stderr)
  assert.match(stderr, 'never served: rolled back')
})

test.run()
