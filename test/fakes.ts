// Programs that only play: each writes down its call and answers from a table; a call that the table does not know fails.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

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

const player = `#!${process.execPath}
const { appendFileSync, existsSync, readFileSync, readdirSync, statSync } = require('node:fs')
const { basename, join } = require('node:path')
const words = [basename(__filename), ...process.argv.slice(2)]
const { FAKE_LOG, FAKE_TABLE, KUBECONFIG, GITHUB_OUTPUT } = process.env
const mode = KUBECONFIG && existsSync(KUBECONFIG) ? (statSync(KUBECONFIG).mode & 0o777).toString(8) : undefined
appendFileSync(FAKE_LOG, JSON.stringify({ words, env: process.env, mode }) + '\\n')
const reply = JSON.parse(readFileSync(FAKE_TABLE, 'utf8')).find(({ call }) => new RegExp(call).test(words.join(' ')))
if (!reply) {
  console.error('Nobody expects this call: ' + words.join(' '))
  process.exit(97)
}
if (reply.cat) for (const name of readdirSync(words.at(-1)).sort()) if (/yaml$/.test(name)) process.stdout.write(readFileSync(join(words.at(-1), name)))
if (reply.output) appendFileSync(GITHUB_OUTPUT, reply.output + '\\n')
process.stdout.write(reply.stdout ?? '')
process.exitCode = reply.code ?? 0
`

/** Makes the programs; they go with the process. */
export function fakes(names: string[]): Fakes {
  const folder = mkdtempSync(join(tmpdir(), 'kgc-fakes-'))
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
  const [bin, log, table] = ['bin', 'calls', 'table.json'].map(name => join(folder, name)) as [string, string, string]
  mkdirSync(bin, { recursive: true })
  for (const name of names) writeFileSync(join(bin, name), player, { mode: 0o755 })
  const answer = (replies: Reply[]) => {
    writeFileSync(table, JSON.stringify(replies.map(reply => ({ ...reply, call: reply.call.source }))))
    writeFileSync(log, '')
  }
  answer([])
  const calls = () => readFileSync(log, 'utf8').split('\n').filter(Boolean).map(line => JSON.parse(line) as Call)
  return { bin, env: { FAKE_LOG: log, FAKE_TABLE: table }, calls, answer }
}
