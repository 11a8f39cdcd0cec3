// Writes or checks the env files of an environment (scripts/env.ts).
import { usageFailure } from '../cli.ts'
import { checkEnvFiles } from '../env/check.ts'
import type { EnvProblem } from '../env/problem.ts'
import { findEnvFiles, type EnvFiles } from '../env/files.ts'
import { isEnvFileChanged, planEnvFiles, writeEnvFiles, type EnvFileChange } from '../env/write.ts'
import { exit, Failure } from '../errors.ts'
import { color, emit, printResult, say } from '../report.ts'
import { root } from '../repository.ts'

interface EnvArguments {
  values: {
    check?: boolean
    github?: boolean
    owner?: string
  }
  positionals: string[]
}

/** Writes the env files of the environment that is named, or does what an option asks instead. */
export async function runEnvCommand({ values, positionals }: EnvArguments): Promise<void> {
  const { check = false, github = false, owner } = values
  if (positionals.length > 1) throw usageFailure('one environment at a time')
  if ([github, check, owner !== undefined].filter(Boolean).length > 1)
    throw usageFailure('one of --check, --github, --owner')
  const [name = ''] = positionals
  if (github) {
    const { reportGitHubSettings } = await import('../github/settings-command.ts')
    return reportGitHubSettings(root, name)
  }
  if (owner !== undefined) return setOwner(owner)
  const environment = findEnvFiles(root, name)
  return check ? reportProblems(environment) : writeAll(environment)
}

async function setOwner(owner: string): Promise<void> {
  const { readImageOwner, writeOwner } = await import('../images/owner.ts')
  const files = writeOwner(owner)
  for (const file of files) say(`${file}: changed`)
  emit('result', { ...readImageOwner(), written: files.length })
  printResult(
    files.length
      ? `${files.length} files name ${owner}: commit them, then make env.`
      : `All files name ${owner}: nothing to do.`,
  )
}

/** What is wrong, and what may be meant so, a line each. */
function listProblems({ name }: EnvFiles): [problems: string[], remarks: string[]] {
  const found = checkEnvFiles(root, name)
  for (const one of found) emit('problem', one)
  const describe = (some: EnvProblem[]) =>
    some.map(
      ({ file, key, problem, remedy }) =>
        `${file}: ${[key, problem].filter(Boolean).join(' ')}; ${remedy}`,
    )
  return [describe(found.filter(one => !one.remark)), describe(found.filter(one => one.remark))]
}

function reportProblems(environment: EnvFiles): void {
  const [found, remarks] = listProblems(environment)
  for (const one of remarks) say(color.yellow(`  ${one}`))
  emit('result', { environment: environment.name, problems: found.length })
  if (!found.length) return printResult(`${environment.files.length} env files are in order.`)
  const why = `${found.length} ${found.length > 1 ? 'problems' : 'problem'}`
  throw new Failure(exit.usage, 'Check the env files', why, {
    evidence: found.join('\n'),
    next: `correct them, then ${environment.command} --check`,
  })
}

function writeAll(environment: EnvFiles): void {
  // Pre-flight: all files are planned before one is touched.
  const changes = planEnvFiles(environment)
  const changed = changes.filter(isEnvFileChanged)

  // Impact.
  writeEnvFiles(changes)
  for (const change of changes) reportChange(change, environment)
  const [problems, remarks] = listProblems(environment)
  const open = [...problems, ...remarks]
  if (open.length) say(color.yellow(['Still to do:', ...open].join('\n  ')))
  emit('result', {
    environment: environment.name,
    written: changed.length,
    problems: problems.length,
  })
  printResult(
    changed.length
      ? `${changed.length} of ${changes.length} env files written.`
      : `${changes.length} env files are there: nothing to do.`,
  )
}

function reportChange(change: EnvFileChange, { files }: EnvFiles): void {
  const { file, before, added, followed, unknown } = change
  const existingState = isEnvFileChanged(change) ? 'changed' : 'unchanged'
  const state = before === undefined ? 'created' : existingState
  const words = [
    before !== undefined && added.length
      ? `${added.length} ${added.length > 1 ? 'keys' : 'key'} added (${added.join(', ')})`
      : '',
    followed.length
      ? `${followed.join(', ')} now ${followed.length > 1 ? 'follow' : 'follows'} ${file.folder ? `${files[0].name} or ` : ''}${file.example}`
      : '',
  ].filter(Boolean)
  say(`${file.name}: ${words.join('; ') || (state === 'changed' ? 'put in order' : state)}`)
  if (unknown.length)
    say(
      color.yellow(
        `  ${file.example} no longer has ${unknown.join(', ')}; kept at the end of the file`,
      ),
    )
  emit('file', { file: file.name, state, added, followed, unknown })
}
