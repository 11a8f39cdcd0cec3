// The rules of Prometheus and their tests, and what the tests say when a rule is broken.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parse, stringify } from 'yaml'
import { execute } from './process.ts'
import { mutantsOf, seriesNames, type Mutant } from './promql.ts'
import { repository } from './sandbox.ts'
import { promtool } from './tools.ts'

export interface Rule {
  alert?: string
  record?: string
  expr: string
  for?: string
  labels?: Record<string, string>
  annotations?: Record<string, string>
  /** The file in rules/ that it stands in. */
  file: string
}

interface RuleTest {
  name: string
  alert_rule_test?: { alertname: string; exp_alerts: unknown[] }[]
  promql_expr_test?: { expr: string }[]
}

export const rulesFolder = join(repository, 'infra/monitoring/prometheus/rules')
const fixtures = join(repository, 'test/fixtures/alerts')
const read = (folder: string, file: string) => parse(readFileSync(join(folder, file), 'utf8'))

/** All rules, recording rules first. */
export const rules: Rule[] = readdirSync(rulesFolder)
  .sort((a, b) => Number(b === 'recording.yml') - Number(a === 'recording.yml'))
  .flatMap(file =>
    (read(rulesFolder, file).groups as { rules: Rule[] }[]).flatMap(group =>
      group.rules.map(rule => ({ ...rule, file })),
    ),
  )
export const nameOf = ({ alert, record }: Rule): string => alert ?? record ?? ''

/** The files of tests for promtool, each for the file of rules of the same name. */
export const testFiles: string[] = readdirSync(fixtures).map(file => join(fixtures, file))
const tests: RuleTest[] = readdirSync(fixtures).flatMap(file => read(fixtures, file).tests)

/** The tests that expect something of a rule. */
export const testsOf = (rule: Rule): RuleTest[] =>
  tests.filter(
    test =>
      test.alert_rule_test?.some(({ alertname }) => alertname === rule.alert) ||
      test.promql_expr_test?.some(({ expr }) => expr === rule.record),
  )

/** Whether a test expects that the alert fires, and one that it stays silent. */
export function provenBy(rule: Rule): { fires: boolean; silent: boolean } {
  const expected = testsOf(rule).flatMap(test => test.alert_rule_test ?? [])
  return {
    fires: expected.some(({ exp_alerts }) => exp_alerts.length > 0),
    silent: expected.some(({ exp_alerts }) => exp_alerts.length === 0),
  }
}

/** promtool, with both its streams in the order in which it wrote. */
export const runPromtool = (program: string, args: string[]) =>
  execute(['sh', '-c', 'exec "$0" "$@" 2>&1', program, ...args], { limit: 300_000 })

export interface TestedMutant extends Mutant {
  rule: Rule
  killed: boolean
}

/** The recording rules that an expression reads. */
const recordingsOf = (expression: string): Rule[] =>
  rules.filter(({ record }) => record && seriesNames(expression).includes(record))

const withoutFile = ({ file, ...rule }: Rule) => rule

/** Writes a broken rule, alone with what it reads, and its tests; the path of the tests. */
function writeMutant(folder: string, rule: Rule, mutant: Mutant, number: number): string {
  const group = [...recordingsOf(rule.expr), { ...rule, expr: mutant.expression }].map(withoutFile)
  const file = join(folder, `${number}.yml`)
  writeFileSync(
    join(folder, `${number}.rules.yml`),
    stringify({ groups: [{ name: 'g', rules: group }] }),
  )
  writeFileSync(
    file,
    stringify({
      rule_files: [`${number}.rules.yml`],
      evaluation_interval: '1m',
      tests: testsOf(rule),
    }),
  )
  return file
}

/**
 * What promtool says of each file of tests, in their order: whether one of its expectations failed.
 * Throws when it could not be evaluated: that would say nothing of the tests.
 */
function expectationsFailed(text: string): boolean[] {
  return text
    .split(/^Unit Testing: .*$/m)
    .slice(1)
    .map(part => {
      const failed = part.includes('FAILED')
      if (failed && !/\bgot: ?\[|\bgot:/.test(part)) throw new Error(`not evaluated: ${part}`)
      return failed
    })
}

/** Every way to break a rule, and whether a test noticed it. */
export async function testMutants(parallel = 2): Promise<TestedMutant[]> {
  const folder = mkdtempSync(join(tmpdir(), 'kgc-mutants-'))
  const all = rules.flatMap(rule => mutantsOf(rule.expr).map(mutant => ({ rule, mutant })))
  const files = all.map(({ rule, mutant }, i) => writeMutant(folder, rule, mutant, i))
  const killed = await Promise.all(
    Array.from({ length: parallel }, async (_, part) => {
      const mine = files.filter((_, i) => i % parallel === part)
      return expectationsFailed((await runPromtool(promtool, ['test', 'rules', ...mine])).text)
    }),
  )
  rmSync(folder, { recursive: true })
  return all.map(({ rule, mutant }, i) => ({
    ...mutant,
    rule,
    killed: killed[i % parallel]?.[Math.floor(i / parallel)] ?? false,
  }))
}
