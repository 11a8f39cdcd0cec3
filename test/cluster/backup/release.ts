// Releases of the environment of ./environment.ts whose migration brings the database to the schema that
// its image's label names.
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { get } from '../cluster.ts'
import { labelImage } from '../labelled-image.ts'
import { podOf, type Json } from '../manifests.ts'
import { box, here, sql } from './environment.ts'

const overlay = join(box.root, 'infra/k8s/overlays/test')

/** A schema as a label has it, and as the database records it. */
const versionOf = (letter: string): string => letter.repeat(64)
export const headOf = (letter: string): string => `schema ${letter.repeat(12)}`

/** The database records a schema, and the applications' own checks have nothing to do with this. */
export function recordSchema(letter: string): void {
  sql(
    `CREATE TABLE of_schema (version text); INSERT INTO of_schema VALUES ('${versionOf(letter)}');
    ALTER TABLE of_schema ENABLE ROW LEVEL SECURITY`,
    'chatwoot_a',
  )
  for (const folder of ['kgc', 'twenty-crm', 'chatwoot', 'horilla-hr'])
    for (const file of ['smoke.ts', 'schema-version.ts'])
      rmSync(join(box.docker, folder, file), { force: true })
  writeFileSync(
    join(box.docker, 'chatwoot/schema-version.ts'),
    `export const schemaVersion = async ({ exec }) =>
  (await exec('chatwoot-db', ['psql', '-qtAX', '-U', 'postgres', '-d', 'chatwoot', '-c', "SELECT 'schema ' || left(version, 12) FROM of_schema"])).trim()\n`,
  )
}

/** Writes the overlay of a release. */
export async function writeRelease(schema: string, settings: object): Promise<void> {
  const image = await labelImage('kgc-demo/postgres:17', `schema-${schema}`, {
    'hu.kgc.schema': versionOf(schema),
  })
  const file = join(overlay, 'all.yaml')
  const all = readFileSync(file, 'utf8')
    .split('\n---\n')
    .map(text => JSON.parse(text) as Json)
    // they are there, and a deployer writes none
    .filter(({ kind }) => kind !== 'Secret')
  const migration = all.find(({ kind }) => kind === 'Job')!
  const spec = podOf(migration)
  spec.initContainers = []
  spec.volumes = []
  spec.securityContext = {
    runAsNonRoot: true,
    runAsUser: 999,
    seccompProfile: { type: 'RuntimeDefault' },
  }
  const { env, resources, securityContext } = spec.containers[0]
  const statement = `UPDATE of_schema SET version = '${versionOf(schema)}'`
  spec.containers = [
    {
      ...{ name: 'migrate', image, resources, securityContext },
      // the deploy that brings the server's own hash restarts it
      command: ['sh', '-c', `until pg_isready; do sleep 1; done; exec psql -c "${statement}"`],
      env: [
        { name: 'PGHOST', value: 'chatwoot-db' },
        { name: 'PGUSER', value: 'chatwoot_a' },
        { name: 'PGDATABASE', value: 'chatwoot' },
        ...(env as Json[])
          .filter(({ name }) => /^(POSTGRES|PG)_?PASSWORD$/.test(name))
          .map(one => ({ ...one, name: 'PGPASSWORD' })),
      ],
    },
  ]
  writeFileSync(file, all.map(one => JSON.stringify(one)).join('\n---\n'))
  const said = { disposable: true, stableSeconds: 1, ...settings }
  writeFileSync(join(overlay, 'environment.yaml'), JSON.stringify(said))
}

/** What is recorded of the releases, the first one first. */
export const releases = (): Json[] =>
  get('configmaps', '--selector', 'kgc.hu/release', ...here)
    .items.map(({ data }: Json) => JSON.parse(data.release) as Json)
    .sort((a: Json, b: Json) => a.number - b.number)

export const schemaNow = (): string => sql("SELECT 'schema ' || left(version, 12) FROM of_schema")
