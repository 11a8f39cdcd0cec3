// Whose stack it is, and whether its volumes know the secrets of the env files.
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { otherOwners } from '../../scripts/lib/compose/ownership.ts'
import { parseRecord, recordOf, unfit } from '../../scripts/lib/compose/secret-record.ts'

const test = suite('ownership')
const folder = mkdtempSync(join(tmpdir(), 'kgc-owner-'))
process.once('exit', () => rmSync(folder, { recursive: true }))
const clone = (name: string) => {
  const docker = join(folder, name, 'infra/docker')
  mkdirSync(docker, { recursive: true })
  writeFileSync(join(docker, 'docker-compose.yml'), '')
  return join(folder, name)
}
const from = (...folders: string[]) =>
  folders.map(root => ({
    Config: {
      Image: '',
      Labels: { 'com.docker.compose.project.working_dir': join(root, 'infra/docker') },
    },
  }))

test('docker/compose#2120: a stack of another clone is its own, not ours', () => {
  const [a, b] = [clone('a'), clone('b')]
  assert.equal(otherOwners(from(a), b), [a])
  assert.equal(otherOwners(from(a, a), a), [])
  assert.equal(otherOwners(from(), b), [])
})

test('a clone that was moved, a path by another name, and a take-over that is half done keep nobody out', () => {
  const [a, b] = [clone('c'), clone('d')]
  const link = join(folder, 'link')
  symlinkSync(a, link)
  assert.equal(otherOwners(from(join(folder, 'gone')), b), [])
  assert.equal(otherOwners(from(link), a), [])
  assert.equal(otherOwners(from(a, b), b), [])
  assert.equal(otherOwners([{ Config: { Image: '', Labels: {} } }], b), [])
})

test('a record knows its secrets, tells another by name, and holds none in clear', async () => {
  const secrets = { POSTGRES_PASSWORD: 'a'.repeat(24), RECORD_KEY: 'b'.repeat(32) }
  const record = await recordOf(secrets, '/srv/kgc')
  const text = JSON.stringify(record)
  for (const secret of Object.values(secrets)) assert.not.match(text, secret)
  assert.equal(await unfit(parseRecord(text)!, secrets), [])
  assert.equal(await unfit(record, { ...secrets, RECORD_KEY: 'c'.repeat(32) }), ['RECORD_KEY'])
  assert.not.equal(
    (await recordOf(secrets, '/srv/kgc')).hashes,
    record.hashes,
    'another salt each time',
  )
})

test('a key that the record does not know is no conflict, nor one whose old value stands beside it while it is rotated', async () => {
  const record = await recordOf({ RECORD_KEY: 'old-value' }, '/srv/kgc')
  assert.equal(await unfit(record, { NEWER_KEY: 'x' }), [])
  assert.equal(await unfit(record, { RECORD_KEY: 'new-value' }, ['new-value', 'old-value']), [])
  assert.equal(await unfit(record, { RECORD_KEY: 'new-value' }, ['new-value', 'other']), [
    'RECORD_KEY',
  ])
})

test('a text that is no record tells nothing', () => {
  for (const text of ['', '{}', 'null', '{"folder":1,"hashes":{}}', '{"folder":"/a"'])
    assert.is(parseRecord(text), undefined, text)
})

test.run()
