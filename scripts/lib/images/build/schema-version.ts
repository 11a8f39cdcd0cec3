// The version of a database's schema: what its files say.
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'

/** The label with it, on an image that brings a database to that schema. */
export const schemaLabel = 'hu.kgc.schema'

const sha256 = (content: string | Buffer): string =>
  createHash('sha256').update(content).digest('hex')

/** All files of a path, relative to `folder`. */
function listSchemaFiles(folder: string, path: string): string[] {
  if (!existsSync(join(folder, path))) return []
  if (statSync(join(folder, path)).isFile()) return [path]
  return readdirSync(join(folder, path)).flatMap(name => listSchemaFiles(folder, `${path}/${name}`))
}

/**
 * The checksum of the names and contents of files and folders (paths in `root`). Their own folder
 * does not count: in an image it is another.
 */
export function computeSchemaVersion(root: string, paths: string[]): string {
  const files = paths.flatMap(path =>
    listSchemaFiles(join(root, dirname(path)), basename(path)).map(file => ({
      file,
      at: join(root, dirname(path), file),
    })),
  )
  const lines = files
    .sort((a, b) => (a.file < b.file ? -1 : 1))
    .map(({ file, at }) => `${sha256(readFileSync(at))}  ${file}\n`)
  return sha256(lines.join(''))
}
