// What of a stack as KGC has it today is found, refused, and taken over, without an engine.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { parse } from 'yaml'
import {
  findMove,
  findUnknownDatabases,
  findWriters,
  listLeftVolumes,
} from '../../scripts/lib/backup/move-in/find.ts'
import type { OldStack } from '../../scripts/lib/backup/move-in/old-stack.ts'
import { readMoveInRules } from '../../scripts/lib/backup/move-in/rules.ts'
import { planValues } from '../../scripts/lib/backup/move-in/values.ts'
import type { PlannedApplication } from '../../scripts/lib/backup/plan.ts'
import type { Container } from '../../scripts/lib/compose/containers.ts'
import type { Failure } from '../../scripts/lib/errors.ts'
import { findEnvFiles } from '../../scripts/lib/env/files.ts'
import { repository } from '../sandbox.ts'

const test = suite('move in: what is found')

const folders = ['kgc', 'twenty-crm', 'chatwoot', 'horilla-hr']
const planOf = (folder: string): PlannedApplication => {
  const name = folder.split('-')[0]!
  const database = {
    service: `${name}-db`,
    database: name,
    login: `${name}_a`,
    volume: `kgc_${name}-db-data`,
  }
  const keys = Object.keys(readMoveInRules(folder)!.files ?? {})
  const files = keys.map(key => ({ key, name: `kgc_${key}`, services: [] }))
  return { folder, services: [], databases: [database], files, leftOut: [] }
}
const data = (name: string) => [
  { type: 'volume', source: name, target: '/var/lib/postgresql/data' },
]
const container = (name: string, Env: string[], Status = 'running') =>
  [
    name,
    {
      Id: `id-${name}`,
      Name: `/kgc-${name}`,
      Config: { Env, Image: name },
      State: { Status },
    } as unknown as Container,
  ] as const

/** The stack of the KGC monorepo, as far as it counts here. */
const makeOld = (environment: Record<string, string> = {}, more: object = {}): OldStack => ({
  folder: '/old',
  config: {
    name: 'kgc-erp-production',
    services: {
      'kgc-api': { environment },
      'kgc-db': {
        environment: { POSTGRES_USER: 'kgc', POSTGRES_DB: 'kgc_erp' },
        volumes: data('kgc-db-data'),
      },
      'chatwoot-rails': {
        environment,
        volumes: [{ type: 'volume', source: 'storage', target: '/app/storage' }],
      },
      'chatwoot-db': {
        environment: { POSTGRES_USER: 'chatwoot', POSTGRES_DB: 'chatwoot_production' },
        volumes: data('chatwoot-db-data'),
      },
      ...more,
    },
    volumes: {
      ...{ 'kgc-db-data': { name: 'kgc-db-data' }, storage: { name: 'kgc-chatwoot-storage' } },
      ...{
        'chatwoot-db-data': { name: 'kgc-chatwoot-db-data' },
        minio: { name: 'kgc-minio-data' },
      },
    },
  },
  containers: new Map(),
})
const movesOf = (old: OldStack) =>
  folders.flatMap(folder => findMove([old], planOf(folder), readMoveInRules(folder)!) ?? [])

test('every move-in.yaml names services, volumes and keys that are here', () => {
  const files = findEnvFiles(repository).files
  for (const folder of folders) {
    const rules = readMoveInRules(folder)!
    const path = join(repository, 'infra/docker', folder, 'docker-compose.yml')
    const compose = parse(readFileSync(path, 'utf8')) as Record<'services' | 'volumes', object>
    const keys = files.find(one => one.folder === folder)!.entries.map(({ key }) => key)
    const named = [...Object.values(rules.files ?? {}), ...Object.values(rules.values ?? {})]
    const services = [...Object.keys(rules.services), ...named.map(({ service }) => service)]
    assert.equal(
      services.filter(name => !(name in compose.services)),
      [],
      folder,
    )
    assert.equal(
      Object.keys(rules.files ?? {}).filter(key => !(key in compose.volumes)),
      [],
      folder,
    )
    assert.equal(
      Object.keys(rules.values ?? {}).filter(key => !keys.includes(key)),
      [],
      folder,
    )
    // what data was written with must come
    const kept = files.find(one => one.folder === folder)!.entries.filter(({ keep }) => keep)
    assert.equal(
      kept.filter(({ key }) => !(key in (rules.values ?? {}))),
      [],
      folder,
    )
  }
})

test('databases, files and what stays are found under the names that they have there', () => {
  const old = makeOld(
    {},
    { 'wiki-db': { image: 'postgres:16-alpine' }, search: { image: 'mysql' } },
  )
  const moves = movesOf(old)
  const found = moves.flatMap(({ databases }) => [...databases.values()])
  assert.equal(
    found.map(({ database, user, source }) => [database, user, source]),
    [
      ['kgc_erp', 'kgc', 'kgc-db-data'],
      ['chatwoot_production', 'chatwoot', 'kgc-chatwoot-db-data'],
    ],
  )
  const files = moves.flatMap(one => [...one.files.values()])
  assert.equal(files, [[{ source: 'kgc-chatwoot-storage' }]])
  assert.equal(listLeftVolumes([old], moves), ['kgc-minio-data'])
  assert.equal(findUnknownDatabases([old], moves), ['wiki-db', 'search'])
})

test('files that no volume holds are in the container, while there is one', () => {
  const old = makeOld({}, { 'twenty-db': { volumes: data('t') }, 'twenty-server': {} })
  const filesOf = () => movesOf(old).flatMap(one => [...one.files.values()])[0]
  assert.equal(filesOf(), [])
  old.containers = new Map([container('twenty-server', [])])
  assert.equal(filesOf()?.at(-1), {
    container: 'id-twenty-server',
    path: '/app/packages/twenty-server/.local-storage',
  })
})

test('who names a database and runs may write; who is stopped, or names another, does not', () => {
  const old = makeOld()
  old.containers = new Map([
    container('kgc-db', ['POSTGRES_DB=kgc_erp']),
    container('kgc-api', ['DATABASE_URL=postgresql://kgc:x@kgc-db:5432/kgc_erp']),
    container('chatwoot-rails', ['POSTGRES_HOST=chatwoot-db'], 'exited'),
    container('other', ['HOST=my-kgc-db', 'NEXT=kgc-db-2']),
  ])
  assert.equal(findWriters(movesOf(old)), [{ services: ['kgc-api'], containers: ['kgc-kgc-api'] }])
})

const long = 'Ab3dEf9hIjKlMnOpQrStUvWxYz012345'
const refusal = (work: () => unknown): Failure => {
  try {
    work()
  } catch (error) {
    return error as Failure
  }
  throw new Error('it was not refused')
}

test('values come over by their new names, those that must not change only where there is no data', () => {
  const old = makeOld({ JWT_SECRET: long, SIGNATURE_HMAC_KEY: `${long}9` })
  const planned = planValues(movesOf(old), [old], 'none', ['chatwoot'])
  const file = 'infra/docker/kgc/.env.none'
  assert.equal(planned.taken, [`${file}: KGC_JWT_SECRET`, `${file}: KGC_SIGNATURE_HMAC_KEY`])
  assert.is(planned.changes[0]!.after, `KGC_JWT_SECRET=${long}\nKGC_SIGNATURE_HMAC_KEY=${long}9\n`)
  const refused = refusal(() => planValues(movesOf(old), [old], 'none', ['kgc']))
  assert.is(refused.code, 3)
  assert.is(refused.evidence, `${file}: KGC_SIGNATURE_HMAC_KEY`)
})

test('a value that no env file can hold is refused by name, and not shown', () => {
  const old = makeOld({ JWT_SECRET: `$$5 ${long}` })
  const { code, evidence, message } = refusal(() => planValues(movesOf(old), [old], 'none', []))
  assert.is(code, 3)
  assert.is(evidence, 'infra/docker/kgc/.env.none: KGC_JWT_SECRET')
  assert.not.match(message, long)
})

test.run()
