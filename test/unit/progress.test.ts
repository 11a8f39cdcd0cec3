// What people see of a wait on a terminal: each row once, no secret, no broken line. On a
// pseudo-terminal, whose screen test/terminal.ts plays.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import stringWidth from 'string-width'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import {
  truncateToWidth,
  toOneLine,
  renderLiveTable,
  type ProgressRow,
  type ProgressState,
} from '../../scripts/lib/progress.ts'
import { keepSecret } from '../../scripts/lib/redact.ts'
import { readTypeScript } from '../node.ts'
import { repository } from '../sandbox.ts'
import { onTerminal } from '../terminal.ts'
import { kubeconfigOf, playProxy } from './fake-kubectl.ts'

const test = suite('live-table')
const box = mkdtempSync(join(tmpdir(), 'kgc-table-'))
process.once('exit', () => rmSync(box, { recursive: true, force: true }))
const canary = 'canary-7f3a91c2'
const lib = join(repository, 'scripts/lib')

/** Runs this TypeScript, which finds all of scripts/lib under `lib`, in a terminal of that size. */
function shown(body: string, columns: number, rows: number, env: Record<string, string> = {}) {
  const file = join(box, 'body.mts')
  writeFileSync(
    file,
    `import { keepSecret } from '${lib}/redact.ts'\nkeepSecret('${canary}')\n${body}`,
  )
  return onTerminal([process.execPath, ...readTypeScript, file], {
    columns,
    rows,
    cwd: repository,
    env,
  })
}

const row = (name: string, state: ProgressState, detail = ''): ProgressRow => ({
  name,
  state,
  detail,
})
const asked = (rows: ProgressRow[][], between = '') =>
  `import { createLiveTable } from '${lib}/progress.ts'\nimport { say } from '${lib}/report.ts'\nconst table = createLiveTable(Date.now())\n` +
  rows.map(one => `table.show(${JSON.stringify(one)})`).join(`\n${between}\n`)
const count = (lines: string[], word: string) => lines.filter(line => line.includes(word)).length

test('a table is redrawn in place, cut to the terminal, whatever its rows hold', () => {
  const ugly = '漢字'.repeat(40) + '\u001b[2J\nand\ttwo lines'
  const { code, lines, text } = shown(
    asked([
      [row('db', 'waiting', 'starting'), row('web', 'absent', 'not created')],
      [row('db', 'waiting', ugly), row('web', 'waiting', `refused: ${canary}`)],
      [row('db', 'ready', 'healthy'), row('web', 'waiting', 'starting')],
    ]),
    40,
    10,
  )
  assert.is(code, 0, text)
  assert.equal(lines.slice(0, 2), ['  ✔ db   healthy', '  … web  starting'])
  assert.match(lines[2]!, /^ {2}0\.\d s: 1 of 2 not ready$/)
  assert.equal(lines.slice(3), [''])
  assert.not.match(text, canary)
  assert.match(text, 'refused: [secret]')
})

test('a table that is taller than the terminal shows the most urgent, once', () => {
  const rows = (state: ProgressState) => {
    const states = Array.from({ length: 30 }, (_, i): ProgressState =>
      i < 10 ? 'ready' : 'waiting',
    )
    return states.with(17, state).map((its, i) => row(`service-${i}`, its, `${state} now`))
  }
  const { lines } = shown(asked([rows('absent'), rows('waiting'), rows('failed')]), 60, 8)
  assert.is(count(lines, 'service-17 '), 1, lines.join('\n'))
  assert.ok(count(lines, 'service-') <= 7)
  assert.match(lines.at(-2)!, /… and 2\d more/)
})

test('what is said in between stands above; the table is drawn again below it', () => {
  const rows = [
    [row('db', 'waiting', 'starting')],
    [row('db', 'waiting', 'starting')],
    [row('db', 'ready', 'healthy')],
  ]
  const { lines } = shown(asked(rows, "say('a note')"), 60, 10)
  assert.is(count(lines, 'a note'), 2)
  assert.is(lines.at(-2), '  ✔ db  healthy')
  assert.equal(
    lines.slice(0, 2).map(line => line.replace(/\d\.\d/, '0.0')),
    ['  … db  starting', '  0.0 s: 1 of 1 not ready'],
  )
})

test('a secret is taken out before a text is cut, and after control characters are', () => {
  keepSecret(canary)
  assert.is(toOneLine(`a ${canary.slice(0, 6)}\u001b[31m${canary.slice(6)}\nb`), 'a [secret] b')
  assert.is(toOneLine(`${canary.slice(0, 3)}\u200b${canary.slice(3)}`), '[secret]')
  for (let columns = 1; columns < 60; columns++) {
    const lines = renderLiveTable(
      [row('db', 'waiting', `${'字'.repeat(9)}${canary}`)],
      '1.0 s',
      columns,
      3,
    )
    for (const line of lines)
      assert.ok(
        stringWidth(line) < Math.max(2, columns) && !line.includes(canary.slice(0, 6)),
        line,
      )
  }
  assert.is(truncateToWidth('a字字', 4), 'a字')
  assert.is(truncateToWidth('👨‍👩‍👧x', 1), '')
})

test('a secret in the answer to a probe is not shown while a deploy waits', () => {
  const recorded = readFileSync(
    join(import.meta.dirname, '../fixtures/rollout/probe.json'),
    'utf8',
  ).replaceAll('statuscode: 503', `statuscode: ${canary}`)
  const { since, moments } = JSON.parse(recorded)
  const shift = Date.now() - moments.at(-2).now
  const today = recorded.replace(/"(\d{4}-\d\d-\d\dT[\d:.]+Z)"/g, (_, time) =>
    JSON.stringify(new Date(Date.parse(time) + shift).toISOString()),
  )
  const { workloads, jobs, pods, replicaSets, events } = JSON.parse(today).moments.at(-2)
  const items = [...workloads, ...jobs, ...pods, ...replicaSets, ...events]
  assert.match(JSON.stringify(items), canary)
  writeFileSync(join(box, 'items.json'), JSON.stringify({ items }))
  writeFileSync(
    join(box, 'kubectl'),
    `#!/bin/sh\n${playProxy}\ncase "$*" in *--watch-only*) ;; *" get "*) cat ${box}/items.json ;; esac\n`,
    { mode: 0o755 },
  )
  const environment = {
    name: 'test',
    folder: '',
    namespace: 'played',
    edge: {},
    disposable: true,
    protected: false,
    stableSeconds: 0,
    sealedSecrets: { namespace: '', name: '' },
  }
  const body = `import { watchRollout } from '${lib}/rollout/watch.ts'
await watchRollout({ environment: ${JSON.stringify(environment)}, names: [{ kind: 'Deployment', name: 'probe' }], since: ${since + shift}, timeout: Date.now() - ${since + shift} + 1_500, stableMs: 0 })
process.exit(0)`
  const { lines, text } = shown(body, 160, 10, {
    PATH: `${box}:${process.env.PATH}`,
    KUBECONFIG: kubeconfigOf('test'),
  })
  assert.match(text, /Deployment probe.*\[secret\]/, text)
  assert.not.match(text, canary)
  assert.is(count(lines, 'Deployment probe'), 1, lines.join('\n'))
})

test.run()
