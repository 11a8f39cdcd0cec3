// GitHub's runner in small: runs the `run:` steps of a workflow's jobs in order, with the
// environment that they would have, and passes outputs on. Actions do nothing but what `actions`
// says. What our workflows do not use it refuses.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { parse } from 'yaml'
import { evaluate, fill, truthy } from './expression.ts'

type Json = Record<string, any>

export interface Event {
  name: string
  ref?: string
  inputs?: Json
  payload?: Json
  vars?: Record<string, string>
  /** By environment. */
  secrets?: Record<string, Record<string, string>>
}

export interface Machine {
  /** The checkout. */
  root: string
  /** Of every step; PATH among it. */
  env: Record<string, string>
  /** Called in place of an action; throws when the action would fail. */
  action: (name: string, inputs: Record<string, string>, job: string) => void
}

export interface Ran {
  job: string
  step: string
  code: number
  text: string
}

export interface Outcome {
  /** success, failure or skipped, by job; of a matrix by its name. */
  jobs: Record<string, string>
  steps: Ran[]
  summary: string
}

export const repository = 'acme/kgc-stack'
export const sha = 'a'.repeat(40)
/** A file of workflows, as YAML says. */
export const workflow = (root: string, file: string): Json =>
  parse(readFileSync(join(root, '.github/workflows', file), 'utf8')) as Json

/**
 * Runs a workflow's jobs one after the other, in their order in the file, which must be that of
 * their needs.
 */
export function runWorkflow(
  machine: Machine,
  file: string,
  event: Event,
  outcome: Outcome = { jobs: {}, steps: [], summary: '' },
): string {
  const { jobs, ...top } = workflow(machine.root, file)
  only(top, ['name', 'on', 'permissions', 'concurrency', 'defaults'])
  if (top.defaults?.run?.shell !== 'bash') throw new Error(`${file}: the shell must be bash`)
  const needs: Json = {}
  for (const [id, job] of Object.entries(jobs as Json)) {
    only(job, [
      'name',
      'needs',
      'if',
      'strategy',
      'runs-on',
      'timeout-minutes',
      'environment',
      'concurrency',
      'permissions',
      'outputs',
      'steps',
      'uses',
    ])
    const before = [job.needs ?? []].flat() as string[]
    const known = Object.fromEntries(
      before.map(name => [name, needs[name] ?? fail(`${id} needs ${name}, which has not run`)]),
    )
    const wanted = truthy(
      evaluate(job.if ?? 'true', { github: gitHub(machine, event), needs: known }),
    )
    const runs = wanted && before.every(name => needs[name].result === 'success')
    needs[id] = runs
      ? runJob(machine, id, job, event, known, outcome)
      : { result: 'skipped', outputs: {} }
    outcome.jobs[id] = needs[id].result
  }
  return Object.values(needs).every(({ result }) => result === 'success') ? 'success' : 'failure'
}

const gitHub = ({ root }: Machine, { name, ref, payload }: Event): Json => ({
  event_name: name,
  ref: ref ?? 'refs/heads/main',
  event: payload ?? {},
  workspace: root,
  sha,
  repository,
  actor: 'anna',
  token: 'token-of-the-job',
})

function runJob(
  machine: Machine,
  id: string,
  job: Json,
  event: Event,
  needs: Json,
  outcome: Outcome,
): { result: string; outputs: Json } {
  if (job.uses)
    return { result: runWorkflow(machine, basename(job.uses), event, outcome), outputs: {} }
  const temp = mkdtempSync(join(tmpdir(), 'kgc-runner-'))
  const base: Json = {
    github: gitHub(machine, event),
    needs,
    inputs: event.inputs ?? {},
    vars: event.vars ?? {},
    runner: { temp },
  }
  const environment = job.environment && fill(job.environment, base)
  base.secrets = event.secrets?.[environment] ?? {}
  const list = job.strategy ? (evaluate(job.strategy.matrix.include, base) as Json[]) : [undefined]
  if (!list.length) fail(`${id}: the matrix is empty`)
  try {
    const ran = list.map(matrix =>
      runSteps(
        machine,
        id,
        job,
        { ...base, ...(matrix ? { matrix } : {}), steps: {} },
        temp,
        outcome,
      ),
    )
    return {
      result: ran.every(({ ok }) => ok) ? 'success' : 'failure',
      outputs: ran.at(-1)!.outputs,
    }
  } finally {
    rmSync(temp, { recursive: true })
  }
}

function runSteps(
  machine: Machine,
  id: string,
  job: Json,
  context: Json,
  temp: string,
  outcome: Outcome,
): { ok: boolean; outputs: Json } {
  let ok = true
  for (const step of expandActions(machine.root, job.steps)) {
    only(step, ['name', 'id', 'if', 'uses', 'with', 'env', 'run', 'continue-on-error'])
    const condition = step.if ?? 'true'
    if (!(condition === 'always()' || (ok && truthy(evaluate(condition, context))))) continue
    const given = (values: Json = {}) =>
      Object.fromEntries(Object.entries(values).map(([key, value]) => [key, fill(value, context)]))
    const name = step.name ?? step.uses
    const one: Ran = { job: id, step: name, code: 0, text: '' }
    outcome.steps.push(one)
    const outputs = step.uses
      ? act(machine, id, step.uses, given(step.with), one)
      : bash(machine, step.run, given(step.env), temp, context, one, outcome)
    if (step.id) context.steps[step.id] = { outputs }
    if (one.code && !step['continue-on-error']) ok = false
  }
  const outputs = Object.fromEntries(
    Object.entries((job.outputs ?? {}) as Json).map(([key, value]) => [
      key,
      ok ? fill(value, context) : '',
    ]),
  )
  return { ok, outputs }
}

/** The steps, with those of a composite action of this repository in its place. */
function expandActions(root: string, steps: Json[]): Json[] {
  return steps.flatMap((step, index) => {
    if (!step.uses?.startsWith('./')) return [step]
    only(step, ['uses'])
    if (!steps.slice(0, index).some(({ uses }) => uses?.startsWith('actions/checkout@')))
      fail(`${step.uses} is not there before the repository is checked out`)
    const { runs, ...top } = parse(
      readFileSync(join(root, step.uses, 'action.yml'), 'utf8'),
    ) as Json
    only(top, ['name', 'description'])
    if (runs.using !== 'composite') fail(`${step.uses} must be composite`)
    return (runs.steps as Json[]).map(({ shell, ...inner }) => {
      if (inner.run && shell !== 'bash') fail(`${step.uses}: the shell must be bash`)
      return inner
    })
  })
}

function act(
  machine: Machine,
  job: string,
  uses: string,
  inputs: Record<string, string>,
  one: Ran,
): Json {
  try {
    machine.action(uses.split('@')[0]!, inputs, job)
  } catch (error) {
    Object.assign(one, { code: 1, text: (error as Error).message })
  }
  return {}
}

function bash(
  machine: Machine,
  script: string,
  env: Record<string, string>,
  temp: string,
  { github }: Json,
  one: Ran,
  outcome: Outcome,
): Json {
  const files = Object.fromEntries(
    ['GITHUB_OUTPUT', 'GITHUB_ENV', 'GITHUB_STEP_SUMMARY'].map(name => [name, join(temp, name)]),
  )
  for (const file of [...Object.values(files), join(temp, 'step.sh')])
    writeFileSync(file, file.endsWith('step.sh') ? script : '')
  const always = {
    CI: 'true',
    GITHUB_ACTIONS: 'true',
    RUNNER_TEMP: temp,
    GITHUB_WORKSPACE: machine.root,
    GITHUB_REPOSITORY: repository,
    GITHUB_SHA: sha,
    GITHUB_ACTOR: 'anna',
    GITHUB_REF: github.ref,
    GITHUB_EVENT_NAME: github.event_name,
    GITHUB_RUN_ID: '42',
    GITHUB_SERVER_URL: 'https://github.com',
    HOME: temp,
    NO_COLOR: '1',
  }
  const done = spawnSync(
    'bash',
    ['--noprofile', '--norc', '-e', '-o', 'pipefail', join(temp, 'step.sh')],
    {
      cwd: machine.root,
      env: { ...always, ...files, ...machine.env, ...env },
      encoding: 'utf8',
      timeout: 60_000,
    },
  )
  Object.assign(one, { code: done.status ?? -1, text: done.stdout + done.stderr })
  const read = (name: string) => readFileSync(files[name]!, 'utf8')
  if (read('GITHUB_ENV')) fail(`${one.step}: GITHUB_ENV is not used here`)
  outcome.summary += read('GITHUB_STEP_SUMMARY')
  const lines = read('GITHUB_OUTPUT').split('\n').filter(Boolean)
  return Object.fromEntries(
    lines.map(
      line =>
        /^(\w+)=(.*)$/.exec(line)?.slice(1) ?? fail(`${one.step}: this is no output: ${line}`),
    ),
  )
}

function only(object: Json, keys: string[]): void {
  for (const key of Object.keys(object))
    if (!keys.includes(key)) fail(`this runner does not know ${key}`)
}

function fail(why: string): never {
  throw new Error(why)
}
