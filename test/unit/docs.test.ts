// The pages of docs/ name files, steps and exit codes that exist.
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { exit } from '../../scripts/lib/errors.ts'
import { describeRefusals } from '../refusals.ts'
import { repository } from '../sandbox.ts'

const test = suite('docs')
const listTracked = ['ls-files', '--cached', '--others', '--exclude-standard']
const tracked = execFileSync('git', listTracked, { cwd: repository, encoding: 'utf8' })
  .trim()
  .split('\n')
const read = (file: string) => readFileSync(join(repository, file), 'utf8')
const deploying = read('docs/deploying.md')

/** Where a name in a page may begin. */
const roots = ['', 'scripts/lib/']
const isFileName = (text: string) =>
  /^[\w.<>{},*/-]+$/.test(text) && /\.(ts|sh|sql|ya?ml|json|md|example)$/.test(text)

/** The names in backticks that are files, one for each alternative in braces. */
function listNamedFiles(text: string): string[] {
  const names = [...text.matchAll(/`([^`\n]+)`/g)].map(([, name]) => name!).filter(isFileName)
  return names.flatMap(name => {
    const [, before, choices, after] = /^(.*)\{(.*)\}(.*)$/.exec(name) ?? []
    return choices ? choices.split(',').map(one => `${before}${one}${after}`) : [name]
  })
}

/** Whether such a file is tracked; `<folder>` and the example `wiki` stand for any application, and a name alone may be anywhere. */
function isTracked(name: string): boolean {
  const escaped = name.replace(/[.*]/g, '\\$&').replace(/<\w+>|\bwiki\b/g, '[^/]+')
  const starts = name.includes('/') ? roots.join('|') : '(?:.*/)?'
  return tracked.some(file => new RegExp(`^(?:${starts})${escaped}$`).test(file))
}

const pathOf = (name: string) => roots.map(root => root + name).find(one => tracked.includes(one))!
const listImports = (file: string): string[] =>
  [...read(file).matchAll(/(?:from|import\() ?'(\.[^']+)'/g)].map(([, path]) =>
    normalize(join(dirname(file), path!)),
  )
const imports = (from: string, to: string): boolean =>
  listImports(from).some(one => one === to || listImports(one).includes(to))

/** The rows of the page whose files are joined by arrows: the first cell, and the files. */
const chains = [...deploying.matchAll(/^\| ([\w -]+) \| (`.* → .*`) \|$/gm)].map(
  ([, title, files]) => ({ title: title!, files: listNamedFiles(files!).map(pathOf) }),
)

for (const page of tracked.filter(file => /^docs\/.*\.md$/.test(file)))
  test(`each file that ${page} names exists`, () => {
    const names = listNamedFiles(read(page))
    assert.ok(names.length)
    assert.equal(
      names.filter(name => !isTracked(name)),
      [],
    )
  })

test("deploying.md's steps are those of a deploy, in their order", () => {
  const flow = read('scripts/lib/deploy/deploy.ts')
  const steps = [...flow.matchAll(/(?:step|Step)\((?:change, )?'([\w-]+)'/g)].map(
    ([, name]) => name!,
  )
  assert.equal(
    chains.slice(0, steps.length).map(({ title }) => title),
    steps,
  )
})

test('each file of a step in deploying.md imports the next, with one file in between at most', () => {
  for (const { title, files } of chains)
    for (const [i, next] of files.slice(1).entries())
      assert.ok(imports(files[i]!, next), `${title}: ${files[i]} does not import ${next}`)
})

test('deploying.md explains each exit code', () => {
  const rows = deploying.split('## Exit codes')[1]!.split('\n## ')[0]!
  const codes = [...rows.matchAll(/^\| (\d) \|/gm)].map(([, code]) => Number(code))
  assert.equal(codes, Object.values(exit))
})

test('docs/refusals.md has the messages of the source, with exit codes and what to do next', async () => {
  const page = describeRefusals()
  const fresh = page === read('docs/refusals.md')
  assert.ok(fresh, 'messages have changed: node --import=tsx test/refusals.ts --write')
  const rows = page.split('\n').filter(line => line.startsWith('| '))
  for (const row of [
    '| ‹service› runs as ‹user› and cannot read ‹path›, which it mounts | 3 | ‹chmod command› |',
    '| the kubeconfig has no current context | error | kubectl config get-contexts   (then use-context) |',
  ])
    assert.ok(rows.includes(row), row)
  const failures = execFileSync(
    'git',
    ['grep', '-c', 'new Failure(', '--', 'scripts/lib/compose', 'scripts/up.ts'],
    {
      cwd: repository,
      encoding: 'utf8',
    },
  )
  const files = failures
    .trim()
    .split('\n')
    .map(line => line.split(':')[0]!.replace('scripts/lib/', ''))
  assert.equal(
    files.filter(file => !page.includes(`## \`${file}\``)),
    [],
  )
})

/** Words that need two readings; each has a plain one. */
const unclearWords =
  /\b(mend(s|ed|ing)?|anew|whoever|(the|no) way back|as it were|nobody[’']s|who only|lets end|once more in a while|in vain|for want of|was quicker|at the (least|most)|of before)\b/i
const isForPeople = (file: string) =>
  /^(scripts|docs|infra|\.github)\/|^[^/]*\.md$|^Makefile$|^test\/run\.ts$/.test(file) &&
  /\.(ts|md|sh|ya?ml|sql|example|env)$|Makefile$/.test(file) &&
  !file.startsWith('infra/demo/standin/')

test('what people read has none of the words that need two readings', () => {
  const found = tracked.filter(isForPeople).flatMap(file =>
    read(file)
      .split('\n')
      .flatMap((line, index) => {
        const [word] = unclearWords.exec(line) ?? []
        return word ? [`${file}:${index + 1}: ${word}`] : []
      }),
  )
  assert.equal(found, [])
})

test.run()
