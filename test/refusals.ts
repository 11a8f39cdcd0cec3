// Writes docs/refusals.md: what `up`, `deploy` and `doctor` refuse or name, from their source.
// Usage: node --import=tsx test/refusals.ts [--write]   Without --write it is printed.
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { parseSync } from 'oxc-parser'
import { exit } from '../scripts/lib/errors.ts'
import { describeExpression, isText, type Bindings, type Node } from './refusals-text.ts'
import { repository } from './sandbox.ts'

interface Refusal {
  file: string
  /** An exit code, or how grave the doctor finds it; '' where the caller decides. */
  code: string
  text: string
  next: string
}

const lib = 'scripts/lib/'
/** The files that a command begins with; the doctor is a part of bootstrap.ts. */
const commands: Record<string, string[]> = {
  up: ['scripts/up.ts'],
  deploy: ['scripts/deploy.ts'],
  doctor: [`${lib}doctor/doctor.ts`, `${lib}doctor/cluster/facts.ts`],
}
/** What each application forbids; the deploy loads it when it runs. */
const upgradePaths = readdirSync(join(repository, 'infra/docker'))
  .map(folder => `infra/docker/${folder}/upgrade-paths.ts`)
  .filter(file => existsSync(join(repository, file)))
commands.deploy!.push(...upgradePaths)
/** Whether a file's functions return problems as texts. */
const returnsTexts = (file: string): boolean =>
  file.startsWith(`${lib}deploy/preflight/`) || upgradePaths.includes(file)

const read = (file: string): string => readFileSync(join(repository, file), 'utf8')

/** All files that these import, themselves among them. */
function listReachable(files: string[]): Set<string> {
  const reached = new Set(files)
  for (const file of reached)
    for (const [, path] of read(file).matchAll(/(?:from|import\() ?'(\.[^']+\.ts)'/g))
      reached.add(relative(repository, join(repository, dirname(file), path!)))
  return reached
}

/** Calls `visit` for a node and all below it, with the nodes around it, the nearest first. */
function walk(node: Node, visit: (node: Node, around: Node[]) => void, around: Node[] = []): void {
  visit(node, around)
  for (const [key, value] of Object.entries(node))
    if (!['loc', 'range', 'tokens', 'comments', 'parent'].includes(key))
      for (const child of [value].flat())
        if (typeof child?.type === 'string') walk(child, visit, [node, ...around])
}

const isFunction = ({ type }: Node): boolean => /Function/.test(type) && !/^TS/.test(type)
const calleeOf = (node: Node): string | undefined =>
  node.type === 'CallExpression' || node.type === 'NewExpression' ? node.callee.name : undefined
const propertyOf = (node: Node | undefined, ...names: string[]): Node | undefined =>
  node?.type === 'ObjectExpression'
    ? node.properties.find((one: Node) => names.includes(one.key?.name))?.value
    : undefined

const literal = (value: string): Node => ({ type: 'Literal', value })

/** The expressions of a message that a node makes: code, what, why, next. */
function findMessage(node: Node): (Node | undefined)[] | undefined {
  const given = node.arguments
  if (calleeOf(node) === 'Failure')
    return [given[0], given[1], given[2], propertyOf(given[3], 'next')]
  if (calleeOf(node) === 'usageFailure')
    return [
      literal('2'),
      literal('Read the arguments'),
      given[0],
      literal('npx zx scripts/<script>.ts --help'),
    ]
  if (calleeOf(node) === 'finding') return [given[1], undefined, given[2], given[3]]
  const why = propertyOf(node, 'problem', 'likely', 'why', 'detail')
  const next = propertyOf(node, 'remedy', 'next')
  const named = next ?? propertyOf(node, 'condition')
  return why && named ? [undefined, undefined, why, next] : undefined
}

/** The name of a function: its own, or that of the constant that holds it. */
const nameOf = (node: Node, [parent]: Node[]): string | undefined =>
  node.id?.name ?? (parent?.type === 'VariableDeclarator' ? parent.id.name : undefined)

/** The values of constants around a place, and of a helper's parameters where it is called. */
function findBindings(program: Node, node: Node, around: Node[]): Bindings[] {
  const constants: Bindings = new Map()
  for (const scope of around.toReversed())
    for (const one of [scope.body].flat() as Node[])
      for (const { id, init } of one?.type === 'VariableDeclaration' ? one.declarations : [])
        if (id.type === 'Identifier' && init) constants.set(id.name, init)
  const used = JSON.stringify(findMessage(node) ?? node.arguments, (key, value) =>
    key === 'loc' ? undefined : value,
  )
  const index = around.findIndex(isFunction)
  const helper = around[index]
  const parameters: (string | undefined)[] = (helper?.params ?? []).map(
    (one: Node) => (one.left ?? one).name,
  )
  const passedOn = parameters.some(name => name && used.includes(`"name":"${name}"`))
  const name = helper && passedOn && nameOf(helper, around.slice(index + 1))
  const scope = around.slice(index + 1).find(({ type }) => /^(BlockStatement|Program)$/.test(type))
  const calls: Bindings[] = []
  if (name)
    walk(program, (call, scopes) => {
      const called = calleeOf(call) === name && scopes.includes(scope!)
      if (!called || call === node || scopes.includes(helper)) return
      const [outer] = findBindings(program, call, scopes)
      const given = parameters.flatMap((one, i) =>
        one && call.arguments[i] ? [[one, call.arguments[i]] as const] : [],
      )
      calls.push(new Map([...constants, ...(outer ?? []), ...given]))
    })
  return calls.length ? calls : [constants]
}

function describeCode(node: Node | undefined, bindings: Bindings): string {
  const bound = node?.type === 'Identifier' ? bindings.get(node.name) : undefined
  const text = node ? describeExpression(bound ?? node, bindings) : ''
  return text
    .replace(/<(\w+)>/g, (_, name) => (name in exit ? `${exit[name as keyof typeof exit]}` : ''))
    .trim()
}

const toldAsProgress = /^(Failure|usageFailure|finding|say|warn|emit|step|kubectl|git|run)$/

/** The texts of a file that are neither part of a message above nor told as progress. */
function findPlainTexts(program: Node, messages: Refusal[]): string[] {
  const known = messages.flatMap(({ text, next }) => [text, next])
  const texts: string[] = []
  walk(program, (node, around) => {
    if (!isText(node) || around.some(isText)) return
    if (around.some(one => toldAsProgress.test(calleeOf(one) ?? ''))) return
    const text = describeExpression(node, new Map())
    const isSentence = text.split(' ').length > 3 && /^[^$,\s]/.test(text) && !/[\s,]$/.test(text)
    if (isSentence && !known.some(one => one.includes(text))) texts.push(text)
  })
  return texts
}

function findRefusals(file: string): Refusal[] {
  const { program } = parseSync(file, read(file)) as { program: Node }
  const found: Refusal[] = []
  walk(program, (node, around) => {
    const message = findMessage(node)
    if (!message) return
    for (const bindings of findBindings(program, node, around)) {
      const [, what, why, next] = message.map(one => (one ? describeExpression(one, bindings) : ''))
      const text = what && !/^<.*>$/.test(what) ? `${what}: ${why}` : why!
      found.push({ file, code: describeCode(message[0], bindings), text, next: next! })
    }
  })
  if (returnsTexts(file))
    for (const text of findPlainTexts(program, found))
      found.push({ file, code: '3', text, next: '' })
  return found.filter(({ text }) => /[a-z]/.test(text.replace(/<[^>]*>/g, '')))
}

const toCell = (text: string): string =>
  text
    .trim()
    .replace(/\|/g, '\\|')
    .replace(/\s*\n\s*/g, ' ')
    .replace(/</g, '‹')
    .replace(/>/g, '›')

function toSection(file: string, said: Refusal[], by: string[]): string {
  const rows = said.map(one => `| ${[one.text, one.code, one.next].map(toCell).join(' | ')} |`)
  return [
    `## \`${file.replace(lib, '')}\``,
    `Said by ${by.map(name => `\`${name}\``).join(', ')}.`,
    ['| Message | Exit code | Next |', '|---|---|---|', ...new Set(rows)].join('\n'),
  ].join('\n\n')
}

const introduction = `# What up, deploy and doctor refuse or name

Written by \`node --import=tsx test/refusals.ts --write\` from the source; do not edit it. A test fails when it is not up to date.

Search for the words that you see. ‹…› stands for what is only known when it runs, […] for what is not always said. A
message has the form \`what was being done: why it failed\`. *Next* is what the message itself tells you to do; where it is empty, the message says it.
*Exit code* is that of [deploying.md](deploying.md); the doctor says how grave a finding is instead (\`error\`, \`warning\`, \`info\`). It is empty where
the caller decides: pod failures end a deploy with 5 or 6, problems of env files end \`up\` with 2. A section is a file, below \`scripts/lib/\` unless it
says another folder; "said by" names the commands that use this file.`

/** The whole page. */
export function describeRefusals(): string {
  const reached = Object.entries(commands).map(
    ([name, files]) => [name, listReachable(files)] as const,
  )
  const files = [...new Set(reached.flatMap(([, set]) => [...set]))].sort()
  const sections = files.flatMap(file => {
    const said = findRefusals(file)
    const by = reached.filter(([, set]) => set.has(file)).map(([name]) => name)
    return said.length ? [toSection(file, said, by)] : []
  })
  return `${[introduction, ...sections].join('\n\n')}\n`
}

if (process.argv[1] === import.meta.filename) {
  const page = describeRefusals()
  if (process.argv.includes('--write')) writeFileSync(join(repository, 'docs/refusals.md'), page)
  else process.stdout.write(page)
}
