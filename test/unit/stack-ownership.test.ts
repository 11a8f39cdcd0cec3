// Whose stack it is, and whether its volumes know the secrets of the env files.
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { findOtherOwners } from '../../scripts/lib/compose/ownership.ts'
import {
  parseSecretRecord,
  createSecretRecord,
  mismatchedSecrets,
} from '../../scripts/lib/compose/volumes/secret-record.ts'

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
  assert.equal(findOtherOwners(from(a), b), [a])
  assert.equal(findOtherOwners(from(a, a), a), [])
  assert.equal(findOtherOwners(from(), b), [])
})

test('a clone that was moved, a path by another name, and a take-over that is half done keep nobody out', () => {
  const [a, b] = [clone('c'), clone('d')]
  const link = join(folder, 'link')
  symlinkSync(a, link)
  assert.equal(findOtherOwners(from(join(folder, 'gone')), b), [])
  assert.equal(findOtherOwners(from(link), a), [])
  assert.equal(findOtherOwners(from(a, b), b), [])
  assert.equal(findOtherOwners([{ Config: { Image: '', Labels: {} } }], b), [])
})

test('a record knows its secrets, tells another by name, and holds none in clear', async () => {
  const secrets = { POSTGRES_PASSWORD: 'a'.repeat(24), RECORD_KEY: 'b'.repeat(32) }
  const record = await createSecretRecord(secrets, '/srv/kgc')
  const text = JSON.stringify(record)
  for (const secret of Object.values(secrets)) assert.not.match(text, secret)
  assert.equal(await mismatchedSecrets(parseSecretRecord(text)!, secrets), [])
  assert.equal(await mismatchedSecrets(record, { ...secrets, RECORD_KEY: 'c'.repeat(32) }), [
    'RECORD_KEY',
  ])
  assert.not.equal(
    (await createSecretRecord(secrets, '/srv/kgc')).hashes,
    record.hashes,
    'another salt each time',
  )
})

test('a key that the record does not know is no conflict, nor one whose old value stands beside it while it is rotated', async () => {
  const record = await createSecretRecord({ RECORD_KEY: 'old-value' }, '/srv/kgc')
  assert.equal(await mismatchedSecrets(record, { NEWER_KEY: 'x' }), [])
  assert.equal(
    await mismatchedSecrets(record, { RECORD_KEY: 'new-value' }, ['new-value', 'old-value']),
    [],
  )
  assert.equal(
    await mismatchedSecrets(record, { RECORD_KEY: 'new-value' }, ['new-value', 'other']),
    ['RECORD_KEY'],
  )
})

test('a text that is no record tells nothing', () => {
  for (const text of ['', '{}', 'null', '{"folder":1,"hashes":{}}', '{"folder":"/a"'])
    assert.is(parseSecretRecord(text), undefined, text)
})

test.run()
