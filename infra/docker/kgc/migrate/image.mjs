// What this image holds: the datamodel, the migrations if its commit has any, and the version of both.
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** The datamodel's file; its migrations are beside it. */
export const schema = process.env.KGC_SCHEMA || '/kgc/prisma/schema.prisma'

/** All files under a path, relative to `folder`, in the order of their names. */
function filesOf(folder, path) {
  if (!existsSync(join(folder, path))) return []
  if (statSync(join(folder, path)).isFile()) return [path]
  return readdirSync(join(folder, path)).flatMap(name => filesOf(folder, `${path}/${name}`))
}

const sha256 = content => createHash('sha256').update(content).digest('hex')

/** The version of a schema: the checksum of the names and contents of these files and folders. scripts/lib/images/schema-version.ts labels images with the same. */
export const checksumOf = (folder, paths) =>
  sha256(
    paths
      .flatMap(path => filesOf(folder, path))
      .sort()
      .map(path => `${sha256(readFileSync(join(folder, path)))}  ${path}\n`)
      .join(''),
  )

/**
 * @returns {{ checksum: string, short: string, migrations: { name: string, sql: string }[] }} migrations in the order in which Prisma applies them
 */
export function imageOf(file = schema) {
  const folder = dirname(file)
  const names = existsSync(join(folder, 'migrations'))
    ? readdirSync(join(folder, 'migrations')).sort()
    : []
  const migrations = names
    .map(name => ({ name, file: join(folder, 'migrations', name, 'migration.sql') }))
    .filter(({ file }) => existsSync(file))
  const checksum = checksumOf(folder, ['schema.prisma', 'migrations'])
  return {
    checksum,
    short: checksum.slice(0, 12),
    migrations: migrations.map(({ name, file }) => ({ name, sql: readFileSync(file, 'utf8') })),
  }
}
