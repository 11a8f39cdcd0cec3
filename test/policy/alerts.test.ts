// Every alert fires when it should and stays silent when it should not, and a rule that is broken
// does not get past the tests.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import {
  nameOf,
  provenBy,
  rules,
  runPromtool,
  testFiles,
  testMutants,
  testsOf,
  type TestedMutant,
} from '../alerts.ts'
import { findSyntaxErrors, keptLabels } from '../promql.ts'
import { repository } from '../sandbox.ts'
import { promtool } from '../tools.ts'

const test = suite('alerts')
const alerts = rules.filter(({ alert }) => alert)

/** Why an alert has no test of one of the two kinds. */
const unproven: Record<string, { fires?: string; silent?: string }> = {
  Watchdog: { silent: 'it always fires: its silence is the alarm' },
}

const large =
  'a limit is either 0, for none, or many thousands: more than 0 and more than 10 are one'
/** Why no test notices that a rule is broken in one way. */
const survivors: Record<string, Record<string, string>> = {
  'service:memory:ratio': { '> 0 ten times as high': large },
  'app:redis_memory:ratio': { '> 0 ten times as high': large },
  HostInodesFull: { '> 0 ten times as high': large },
  HostDiskFilling: { '< 0 ten times as high': 'ten bytes are as good as none' },
}

test('promtool finds what each test of an alert and of a recording rule expects', async () => {
  const { code, text } = await runPromtool(promtool, ['test', 'rules', ...testFiles])
  assert.is(code, 0, text)
})

test('every alert has a test in which it fires and one in which it is silent, or a reason', () => {
  const lacking = alerts.flatMap(alert => {
    const [proven, reasons] = [provenBy(alert), unproven[nameOf(alert)] ?? {}]
    return (['fires', 'silent'] as const)
      .filter(kind => proven[kind] === Boolean(reasons[kind]))
      .map(kind => `${nameOf(alert)}: ${kind}`)
  })
  assert.equal(lacking, [])
  assert.equal(rules.filter(rule => rule.record && !testsOf(rule).length).map(nameOf), [])
})

test('a rule that is broken turns a test red, whichever way it is broken, or there is a reason', async () => {
  const mutants = await testMutants()
  console.log(tableOf(mutants))
  const judged = mutants.map(mutant => ({ ...mutant, reason: reasonFor(mutant) }))
  const wrong = judged.filter(({ killed, reason }) => killed === Boolean(reason))
  assert.equal(
    wrong.map(({ rule, change, expression }) => `${nameOf(rule)}: ${change}: ${expression}`),
    [],
  )
  assert.equal(unusedReasons(mutants), [])
})

const reasonFor = ({ rule, change }: TestedMutant): string | undefined =>
  survivors[nameOf(rule)]?.[change]

const unusedReasons = (mutants: TestedMutant[]): string[] =>
  Object.entries(survivors).flatMap(([name, changes]) =>
    Object.keys(changes)
      .filter(change => !mutants.some(m => nameOf(m.rule) === name && m.change === change))
      .map(change => `${name}: ${change}`),
  )

/** A line for each rule: whether it was seen to fire and to be silent, and how often it was broken and that was noticed. */
function tableOf(mutants: TestedMutant[]): string {
  const line = (cells: string[]) =>
    `  ${cells.map((cell, i) => cell.padEnd([40, 8, 8, 0][i] ?? 0)).join(' ')}`
  const lines = rules.map(rule => {
    const { fires, silent } = provenBy(rule)
    const mine = mutants.filter(mutant => mutant.rule === rule)
    const word = (proven: boolean) => (proven ? 'yes' : 'reason')
    const proofs = rule.record ? ['', ''] : [word(fires), word(silent)]
    const killed = mine.filter(mutant => mutant.killed).length
    return line([nameOf(rule), ...proofs, `${killed} of ${mine.length}`])
  })
  return [line(['rule', 'fires', 'silent', 'broken and noticed']), ...lines].join('\n')
}

test('every aggregation keeps the labels app and environment, on whatever engine', () => {
  const lost = rules.filter(({ expr }) =>
    keptLabels(expr).some(labels => !labels.includes('app') || !labels.includes('environment')),
  )
  assert.equal(lost.map(nameOf), [])
})

test('every expression is one that editors and panels can read, too', () => {
  assert.equal(
    rules.flatMap(rule => findSyntaxErrors(rule.expr).map(error => `${nameOf(rule)}: ${error}`)),
    [],
  )
})

test('every alert says how bad it is, what is wrong, and where the runbook goes on', () => {
  const wrong = alerts.filter(
    ({ alert, labels, annotations }) =>
      !/^(critical|warning|none)$/.test(labels?.severity ?? '') ||
      !annotations?.summary ||
      !annotations.description ||
      annotations.runbook_url !== `infra/monitoring/RUNBOOK.md#${alert?.toLowerCase()}`,
  )
  assert.equal(wrong.map(nameOf), [])
})

test('the runbook has an entry for every alert, and no other: meaning, three commands, end', () => {
  const entries = runbook()
  assert.equal([...entries.keys()].sort(), alerts.map(nameOf).sort())
  const incomplete = [...entries].filter(
    ([, text]) =>
      !/^\*\*Means\*\* \S/m.test(text) ||
      !/^\*\*Ends\*\* \S/m.test(text) ||
      (/```sh\n([\s\S]*?)```/.exec(text)?.[1] ?? '').trim().split('\n').length !== 3,
  )
  assert.equal(
    incomplete.map(([name]) => name),
    [],
  )
})

/** The entries of the runbook by the name of their alert. */
function runbook(): Map<string, string> {
  const text = readFileSync(join(repository, 'infra/monitoring/RUNBOOK.md'), 'utf8')
  const parts = text.split(/^### /m).slice(1)
  return new Map(parts.map(part => [part.split('\n')[0] ?? '', part]))
}

test.run()
