// What a copy for staging has of a backup, and where it has no business; what mask.sql does is tried on
// a server (test/compose/backup).
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { refuseMaskedEnvironment } from '../../scripts/lib/backup/mask/refuse.ts'
import { planMasked, readMaskRules } from '../../scripts/lib/backup/mask/rules.ts'
import { summarizeMasked } from '../../scripts/lib/backup/mask/run.ts'
import type { BackupManifest, StoredFile } from '../../scripts/lib/backup/manifest.ts'
import type { PlannedApplication } from '../../scripts/lib/backup/plan.ts'
import { loadEnvironment } from '../../scripts/lib/kubernetes/environment.ts'
import { Failure } from '../../scripts/lib/errors.ts'
import { dockerFolder } from '../../scripts/lib/repository.ts'

const test = suite('mask')

/** The folders whose Compose file has a database. */
const folders = readdirSync(dockerFolder).filter(folder => {
  const path = join(dockerFolder, folder, 'docker-compose.yml')
  return existsSync(path) && /service: postgres$|POSTGRES_DB/m.test(readFileSync(path, 'utf8'))
})

test('each application with a database says what stands for its people, by schema, table and column', () => {
  assert.is(folders.length, 4, folders.join())
  const name = /^[\w*]+$/
  const parts = (text: string, count: number) =>
    assert.ok(
      text.split('.').length === count && text.split('.').every(part => name.test(part)),
      text,
    )
  for (const folder of folders) {
    const { empty, replace, keep } = readMaskRules(folder)
    for (const one of empty) parts(one, 2)
    for (const one of keep) parts(one, 3)
    for (const [table, columns] of Object.entries(replace)) {
      parts(table, 2)
      for (const expression of Object.values(columns)) assert.type(expression, 'string')
    }
    assert.not.ok(keep.includes('*.*.*'))
  }
  assert.throws(
    () => readMaskRules('traefik'),
    (error: Failure) => error.code === 2 && /traefik\/mask.yaml/.test(error.why),
  )
})

const volume = (key: string) => ({ key, name: `kgc_${key}`, services: ['chatwoot-web'] })
const planned = (folder: string, databases: string[], files: string[]): PlannedApplication => ({
  ...{ folder, services: [], files: files.map(volume), leftOut: [] },
  databases: databases.map(database => ({ database, service: '', login: '', volume: '' })),
})

test('of a backup a masked copy has the databases; volumes of their applications are emptied, the certificates stay', () => {
  const files = ['chatwoot/dump', 'chatwoot-storage/tar', 'env/infra/docker/.env'].map(
    name => ({ name }) as StoredFile,
  )
  const manifest = {
    ...{ name: 'kgc-1', databases: [{ database: 'chatwoot', bytes: 5 }], files },
    volumes: [{ volume: 'chatwoot-storage' }],
  } as BackupManifest
  const masked = planMasked(
    [
      planned('chatwoot', ['chatwoot'], ['chatwoot-storage']),
      planned('traefik', [], ['traefik-acme']),
    ],
    manifest,
  )
  assert.is(masked.manifest.name, 'kgc-1--mask')
  assert.equal(
    masked.manifest.files.map(({ name }) => name),
    ['chatwoot/dump', 'env/infra/docker/.env'],
  )
  const [chatwoot, traefik] = masked.plans
  assert.equal(
    chatwoot!.leftOut.map(({ key, emptied }) => [key, emptied]),
    [['chatwoot-storage', true]],
  )
  assert.equal([chatwoot!.files, traefik!.files, traefik!.leftOut], [[], [], []])
  assert.ok(masked.mask.get('chatwoot')!.empty.includes('public.audits'))
})

test('it goes neither into a protected environment nor into the one that the backup is of', async () => {
  const environment = loadEnvironment('staging')
  const of = (suffix: string) => ({ engine: 'kubernetes', suffix }) as BackupManifest
  const refusal = (...words: Parameters<typeof refuseMaskedEnvironment>) =>
    refuseMaskedEnvironment(...words).then(
      () => '',
      ({ why }: Failure) => why,
    )
  const production = loadEnvironment('production')
  assert.match(await refusal(of('.production'), production, true), 'it is protected')
  assert.match(await refusal(of('.staging'), environment, true), 'of this very stack')
  assert.match(await refusal(of('.production'), environment, false), 'data of its own')
  assert.is(await refusal(of('.production'), environment, true), '')
})

test('what was done is told in numbers', () => {
  assert.is(
    summarizeMasked(
      'replaced\tpublic.users.email\nmasked\tpublic.users.note\nemptied\tpublic.audits\n',
    ),
    '2 columns masked, 1 as mask.yaml says and 1 as it says of all others; 1 tables emptied',
  )
})

test.run()
