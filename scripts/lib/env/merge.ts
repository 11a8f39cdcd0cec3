// The text of an env file, made from its example and the values that people wrote into it.
import type { EnvFile, EnvFiles } from './files.ts'
import { quoteValue } from './lines.ts'

const leftoverHeading = '# No longer in the example: delete what is not needed.'

/**
 * The text that a file gets: `wanted` values in it, with the lines that a person wrote left where
 * they are. `old` is what `before` holds.
 */
export function mergeEnvFile(
  { name, command, files }: EnvFiles,
  file: EnvFile,
  before: string | undefined,
  old: Record<string, string>,
  wanted: Map<string, string>,
) {
  const rule = file.folder
    ? `keys that ${files[0].name} has too follow it`
    : 'the folders follow it where they share a key'
  const header = [
    `# ${name ? `Environment ${name}: ` : ''}written from ${file.example} by \`${command}\`.`,
    `# Change values here: they are kept; ${rule}. No quotes, no spaces.`,
  ]
  const lines = before === undefined ? header : before.replace(/\n*$/, '').split('\n')
  const at = (key: string) => lines.findIndex(line => line.startsWith(`${key}=`))
  const unknown = Object.keys(old).filter(key => !wanted.has(key))
  const misplaced = unknown.filter(
    key => !lines.includes(leftoverHeading) || at(key) < lines.indexOf(leftoverHeading),
  )
  const moved = misplaced.flatMap(key => lines.splice(at(key), 1))
  const added = [...wanted.keys()].filter(key => !(key in old))
  const follows = file.entries.filter(entry => entry.shared || entry.pinned).map(({ key }) => key)
  const followed = follows.filter(key => key in old && old[key] !== wanted.get(key))
  let last = -1
  for (const entry of file.entries) {
    const here = at(entry.key)
    const line = `${entry.key}=${quoteValue(wanted.get(entry.key) ?? '')}`
    if (here >= 0) lines[(last = here)] = line
    else {
      const end = lines.includes(leftoverHeading) ? lines.indexOf(leftoverHeading) : lines.length
      const block = [...(entry.gap || entry.comment.length ? [''] : []), ...entry.comment, line]
      lines.splice(last < 0 ? end : last + 1, 0, ...block)
      last = at(entry.key)
    }
  }
  if (moved.length && !lines.includes(leftoverHeading)) lines.push('', leftoverHeading)
  return { after: [...lines, ...moved].join('\n') + '\n', added, followed, unknown }
}
