// Programs that only play: each writes down its call and answers from a table; a call that the
// table does not know fails.
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { playProxy } from './unit/fake-kubectl.ts'

export interface Reply {
  /** Of the call: its name and its words, with one space between. */
  call: RegExp
  stdout?: string
  code?: number
  /** Added to the file GITHUB_OUTPUT. */
  output?: string
  /** Prints all files of the folder that is the last word. */
  cat?: boolean
}

export interface Call {
  words: string[]
  env: Record<string, string>
  /** Mode of the file KUBECONFIG, in octal. */
  mode?: string
}

export interface Fakes {
  /** To be first on the PATH. */
  bin: string
  env: Record<string, string>
  calls: () => Call[]
  /** From here on these are the answers, and no call has been made. */
  answer: (replies: Reply[]) => void
}

// in bash: a step makes many calls, and Node takes ten times as long to start
const player = `#!/bin/bash
if [ "\${0##*/}" = kubectl ]; then ${playProxy}; fi
words="\${0##*/}"
mode=
if [ -e "\${KUBECONFIG:-}" ]; then mode=$(stat -c %a "$KUBECONFIG"); fi
{ printf '%s\\0' "$mode" "$words" "$@" $'\\1'; env -0; } > "$FAKE_LOG/$EPOCHREALTIME"
words="$words $*"
. "$FAKE_TABLE"
echo "Nobody expects this call: $words" >&2
exit 97
`

const quote = (text: string) => `'${text.replaceAll("'", "'\\''")}'`
const inBash = ({ call, stdout = '', code = 0, output, cat }: Reply): string =>
  [
    `it=${quote(call.source)}`,
    'if [[ $words =~ $it ]]; then',
    ...(cat ? ['for file in "${@: -1}"/*.yaml; do cat "$file"; done'] : []),
    ...(output ? [`printf '%s\\n' ${quote(output)} >> "$GITHUB_OUTPUT"`] : []),
    `printf %s ${quote(stdout)}`,
    `exit ${code}`,
    'fi',
  ].join('\n')

/** Makes the programs; they go with the process. */
export function fakes(names: string[]): Fakes {
  const folder = mkdtempSync(join(tmpdir(), 'kgc-fakes-'))
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
  const [bin, log, table] = ['bin', 'calls', 'table.sh'].map(name => join(folder, name)) as [
    string,
    string,
    string,
  ]
  mkdirSync(bin)
  for (const name of names) writeFileSync(join(bin, name), player, { mode: 0o755 })
  const answer = (replies: Reply[]) => {
    writeFileSync(table, replies.map(inBash).join('\n'))
    rmSync(log, { recursive: true, force: true })
    mkdirSync(log)
  }
  answer([])
  const calls = () =>
    readdirSync(log)
      .sort()
      .map(name => read(readFileSync(join(log, name), 'utf8')))
  return { bin, env: { FAKE_LOG: log, FAKE_TABLE: table }, calls, answer }
}

function read(text: string): Call {
  const [mode, ...rest] = text.split('\0')
  const end = rest.indexOf('\u0001')
  const env = Object.fromEntries(
    rest
      .slice(end + 1, -1)
      .map(line => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
  )
  return { words: rest.slice(0, end), env, ...(mode ? { mode } : {}) }
}
