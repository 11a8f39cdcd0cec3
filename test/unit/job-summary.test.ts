import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { Failure } from '../../scripts/lib/errors.ts'
import { keepSecret } from '../../scripts/lib/redact.ts'
import { renderJobSummary, type JobSummary } from '../../scripts/lib/job-summary.ts'
import { readTypeScript } from '../node.ts'
import { repository } from '../sandbox.ts'

const test = suite('summary')

const summary: JobSummary = {
  title: 'Deploy to staging',
  facts: {
    Environment: 'staging',
    Release: '42 (deploy)',
    Commit: 'a'.repeat(40),
    By: 'eva',
    Created: '',
  },
  steps: [
    { name: 'Pre-flight', took: '3.1 s', ok: true },
    { name: 'Watch', took: '14.0 s', ok: false },
  ],
}

test('a deploy that went well is one table', () => {
  const text = renderJobSummary(
    { ...summary, steps: summary.steps.slice(0, 1) },
    'staging serves release 42 (deploy, 45.0 s).',
  )
  const rows = [
    '| Environment | staging |',
    '| Release | 42 (deploy) |',
    `| Commit | ${'a'.repeat(40)} |`,
    '| By | eva |',
    '| Pre-flight | 3.1 s |',
  ]
  const end = '| Result | staging serves release 42 (deploy, 45.0 s). |'
  assert.is(
    text,
    `### ✔ Deploy to staging\n\n${['| | |', '|---|---|', ...rows, end].join('\n')}\n\n`,
  )
})

test('a failure has its cause, its log, the next command and what serves', () => {
  const details = {
    evidence: 'line 1\nline 2',
    next: 'kubectl logs deployment/api',
    serving: 'release 41 serves again',
  }
  const text = renderJobSummary(
    summary,
    new Failure(5, 'Deploy to staging', 'Deployment api: CrashLoopBackOff', details),
  )
  assert.match(text, '### ✘ Deploy to staging')
  assert.match(
    text,
    '| Watch | 14.0 s ✘ |\n| Result | failed (exit code 5) |\n\n**Cause** Deploy to staging: Deployment api: CrashLoopBackOff\n\n',
  )
  assert.match(
    text,
    '```text\nline 1\nline 2\n```\n\n**Next**\n\n```text\nkubectl logs deployment/api\n```\n\n**Serving now** release 41 serves again\n\n',
  )
})

test('a log cannot leave its block, whatever fences are in it', () => {
  for (const log of ['```\n# title', '````text\n<script>\n````', '`', '~~~\n']) {
    const lines = renderJobSummary(summary, new Failure(5, 'x', 'y', { evidence: log }))
      .trimEnd()
      .split('\n')
    const open = lines.findIndex(line => /^`+text$/.test(line))
    const fence = lines[open]!.replace('text', '')
    assert.equal(lines.slice(open + 1), [...log.trimEnd().split('\n'), fence])
    assert.not.ok(
      lines.slice(open + 1, -1).some(line => line.startsWith(fence)),
      log,
    )
  }
})

test('outside of a block nothing is markup, and nobody is called', () => {
  const wild =
    '<img src=x> [a](http://x) `code` *b* a|b @everyone #1 ![i](x) \u001b[31mred\u001b[0m \u202e\nsecond line'
  const text = renderJobSummary(
    { title: wild, facts: { By: wild }, steps: [{ name: wild, took: '1 s', ok: true }] },
    new Failure(5, wild, wild, { serving: wild }),
  )
  assert.not.match(text, /<|[^\\]\[|[^\\]`|[\u001b\u202e]|@everyone/)
  for (const line of text.split('\n').filter(line => line.startsWith('| ')))
    assert.is(line.replaceAll('\\|', '').split('|').length, 4, line)
})

test('secrets are nowhere, and a long log is cut at its beginning', () => {
  keepSecret('canarySummary')
  const log = `${'first\n'.repeat(100_000)}last canary\u001b[1mSummary`
  const word = 'canarySummary'
  const text = renderJobSummary(
    { ...summary, facts: { By: word } },
    new Failure(5, word, word, { evidence: log, next: word, serving: word }),
  )
  assert.not.match(text, 'canary')
  assert.match(text, 'last [secret]\n```')
  assert.ok(text.length < 120_000)
})

test('several lines of a result are a block', () => {
  assert.match(
    renderJobSummary(summary, 'a  b\nc  d'),
    '| Result | done |\n\n```text\na  b\nc  d\n```\n',
  )
})

/** Runs a script that is made of lines, in a workflow's step. */
function step(lines: string, env: Record<string, string> = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'kgc-summary-'))
  const file = join(folder, 'summary.md')
  try {
    writeFileSync(file, 'before\n')
    writeFileSync(
      join(folder, 'x.mts'),
      `const { Failure, exit } = await import('${repository}/scripts/lib/errors.ts')
const { main, printResult, step, warn } = await import('${repository}/scripts/lib/report.ts')
const { addSummaryFacts } = await import('${repository}/scripts/lib/job-summary.ts')
await main(async () => {\n${lines}\n})`,
    )
    const all = {
      ...process.env,
      NO_COLOR: '1',
      GITHUB_ACTIONS: '',
      GITHUB_STEP_SUMMARY: file,
      ...env,
    }
    const options = { cwd: repository, encoding: 'utf8', env: all } as const
    const { status, stderr } = spawnSync(
      process.execPath,
      [...readTypeScript, join(folder, 'x.mts')],
      options,
    )
    return { code: status, stderr, text: readFileSync(file, 'utf8') }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

test('what is created is counted, and listed where it is unfolded', () => {
  const lists = { Created: ['Deployment api', 'Secret <b>'], Removed: [] }
  const text = renderJobSummary({ ...summary, lists }, 'done')
  assert.match(
    text,
    '<details><summary>Created: 2</summary>\n\n- Deployment api\n- Secret &lt;b>\n\n</details>'.replace(
      'b>',
      'b\\>',
    ),
  )
  assert.not.match(text, 'Removed')
})

test('an interrupt says what serves, if somebody knows', () => {
  const wait = `{ process.kill(process.pid, 'SIGINT'); return new Promise(done => setTimeout(done, 5000)) }`
  const { stderr, text } = step(
    `const { onServingAsked } = await import('${repository}/scripts/lib/report.ts')
    onServingAsked(() => 'all of release 4'); addSummaryFacts({}, 'Try'); await step('One', () => ${wait})`,
  )
  assert.match(stderr, '  NOW   all of release 4\n')
  assert.match(text, '**Serving now** all of release 4\n')
})

test('a step that says nothing for long says that it is at work', () => {
  const { stderr } = step(
    `const { quietStepMs, say } = await import('${repository}/scripts/lib/report.ts')
    quietStepMs.most = 200
    const { setTimeout: wait } = await import('node:timers/promises')
    await step('Quiet', () => wait(500)); const loud = setInterval(() => say('x'), 50)
    await step('Loud', () => wait(500)); clearInterval(loud)`,
  )
  assert.match(stderr, /▶ Quiet\n {2}… 0\.\d s: Quiet\n/)
  assert.not.match(stderr, /s: Loud/)
})

test('a script that names itself adds its summary, with its steps; another adds none', () => {
  const done = step(
    `addSummaryFacts({ By: 'eva' }, 'Try'); await step('One', () => {}); printResult('it works')`,
  )
  assert.is(done.code, 0, done.stderr)
  const text =
    'before\n### ✔ Try\n\n| | |\n|---|---|\n| By | eva |\n| One | N s |\n| Result | it works |\n\n'
  assert.is(done.text.replace(/\d\.\d s/, 'N s'), text)
  assert.is(step(`printResult('it works')`).text, 'before\n')
  const failed = step(
    `addSummaryFacts({}, 'Try'); await step('One', () => { throw new Failure(exit.refused, 'Look', 'nothing is there') })`,
  )
  assert.is(failed.code, 3)
  assert.match(
    failed.text,
    /\| One \| \d\.\d s ✘ \|\n\| Result \| failed \(exit code 3\) \|\n\n\*\*Cause\*\* Look: nothing is there/,
  )
})

test('an interrupt is in it, too', () => {
  const wait = `{ process.kill(process.pid, 'SIGINT'); return new Promise(done => setTimeout(done, 5000)) }`
  const { code, text } = step(`addSummaryFacts({}, 'Try'); await step('One', () => ${wait})`)
  assert.is(code, 130)
  assert.match(text, '| Result | interrupted (exit code 130) |\n\n**Cause** One: interrupted\n')
})

test('a file that cannot be written changes no result', () => {
  const { code, stderr } = step(`addSummaryFacts({}, 'Try'); printResult('it works')`, {
    GITHUB_STEP_SUMMARY: '/nowhere/at/all',
  })
  assert.is(code, 0)
  assert.match(stderr, "the job's summary cannot be written")
})

test("what a log says is no command to GitHub's runner", () => {
  const failure = `new Failure(exit.broken, 'Look', 'a\\nb', { evidence: '::error::forged\\n::add-mask::x' })`
  const { stderr } = step(`warn('50% of\\nit'); throw ${failure}`, { GITHUB_ACTIONS: 'true' })
  assert.match(stderr, '::warning::50%25 of%0Ait\n')
  const [, id, quoted] = /::stop-commands::([\w-]{36})\n([^]*)\n::\1::\n/.exec(stderr) ?? []
  assert.ok(id && quoted!.includes('::error::forged') && quoted!.includes('::add-mask::x'))
  assert.not.match(stderr.replace(quoted!, ''), 'forged')
  assert.match(stderr, '::error::Look: a%0Ab\n')
})

test.run()
