// Files that rows name: each must be in the archive of its volume as its row says.
import { readScratchText } from './database.ts'
import type { BackupPlace } from './engine.ts'
import { parseMeasured } from './helper.ts'
import type { NamedFilesRule } from './plan.ts'

/** A file as a row names it. */
export interface NamedFile {
  path: string
  /** undefined where the application keeps none. */
  bytes: number | undefined
  /** '' where the application keeps none. */
  md5: string
}

const rowsOf = (text: string): string[] => text.split('\n').filter(Boolean)

/** Rows of a path, bytes or '', and an MD5 or '', with tabs between. */
export const parseNamed = (text: string): NamedFile[] =>
  rowsOf(text).map(line => {
    const [path = '', bytes = '', md5 = ''] = line.split('\t')
    return { path, bytes: bytes ? Number(bytes) : undefined, md5 }
  })

/** The files that a database names: the one called `name` on the server of a place. */
export async function listNamedFiles(
  place: BackupPlace,
  what: string,
  { table, query }: NamedFilesRule,
  database: string,
  name: string,
): Promise<NamedFile[]> {
  const env = { DATABASE: database, NEW: name, TABLE: table, QUERY: query }
  const [named] = parseMeasured(what, await place.run(what, ['named.sh'], env))
  return parseNamed(await readScratchText(place, named!))
}

/**
 * What a volume holds, by path: `sizes` is of lines of size, time and path, `sums` what md5sum prints.
 */
export function parseArchived(sizes: string, sums: string): Map<string, NamedFile> {
  const found = new Map<string, NamedFile>()
  for (const line of rowsOf(sizes)) {
    const [, bytes, path] = /^(\d+) \d+ \.\/(.*)$/.exec(line) ?? []
    if (path) found.set(path, { path, bytes: Number(bytes), md5: '' })
  }
  for (const line of rowsOf(sums)) {
    const [, md5 = '', path = ''] = /^([0-9a-f]{32}) [ *]\.\/(.*)$/.exec(line) ?? []
    const file = found.get(path)
    if (file) file.md5 = md5
  }
  return found
}

/** A sentence for each file that is not there as its row names it, by path. */
export function findUnlikeFiles(
  named: NamedFile[],
  archived: Map<string, NamedFile>,
): Map<string, string> {
  const unlike = named.flatMap(({ path, bytes, md5 }): [string, string][] => {
    const file = archived.get(path)
    if (!file) return [[path, `${path} is not there`]]
    if (bytes !== undefined && file.bytes !== bytes)
      return [[path, `${path} has ${file.bytes} bytes, and its row says ${bytes}`]]
    return md5 && file.md5 !== md5 ? [[path, `${path} has other contents than its row says`]] : []
  })
  return new Map(unlike)
}
