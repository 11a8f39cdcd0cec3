// A source that is not built as it is checked out.
import { cpSync, lstatSync, mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { run } from '../../run.ts'

/** How a source is copied before it is built (`x-copy` of docker-compose.build.yml). */
export interface SourceCopy {
  /** Folders that are left out. */
  without: string[]
}

/**
 * Copies what git has or would add of a checkout, and gives the copy a `.git` of its own that knows
 * its commit and nothing else: in a submodule `.git` is a file that names a folder outside of it,
 * which a build cannot see. Out: `to`.
 */
export async function copySource(
  checkout: string,
  { without }: SourceCopy,
  to: string,
): Promise<string> {
  const git = async (...argv: string[]) =>
    (await run(['git', '-C', checkout, ...argv], { what: `Copy ${checkout}` })).stdout
  const [listed, commit] = await Promise.all([
    git('ls-files', '-z', '--cached', '--others', '--exclude-standard'),
    git('rev-parse', 'HEAD'),
  ])
  const wanted = (file: string) => file && !without.some(folder => file.startsWith(`${folder}/`))
  // git still lists what is deleted and not committed
  const there = (file: string) => lstatSync(join(checkout, file), { throwIfNoEntry: false })
  for (const file of listed.split('\0').filter(file => wanted(file) && there(file))) {
    mkdirSync(dirname(join(to, file)), { recursive: true })
    cpSync(join(checkout, file), join(to, file), { recursive: true, verbatimSymlinks: true })
  }
  await run(['git', 'init', '--quiet', to], { what: `Copy ${checkout}` })
  writeFileSync(join(to, '.git/HEAD'), commit)
  return to
}
