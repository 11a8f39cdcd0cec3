// What the doctor says of the env files, and of what the shell and extra files add to them.
import { findIgnoredVariables, type IgnoredVariable } from '../compose/extra-variables.ts'
import {
  missingEnvFiles,
  readComposeConfig,
  type ComposeConfig,
  type Stack,
} from '../compose/stack.ts'
import { checkEnvFiles } from '../env/check.ts'
import type { EnvProblem } from '../env/problem.ts'
import { loadEnvValues } from '../env/files.ts'
import { findShellConflicts } from '../env/shell.ts'
import { Failure } from '../errors.ts'
import { root } from '../repository.ts'
import { judgeAddresses } from './addresses.ts'
import { finding, type Finding } from './finding.ts'

/**
 * The env files' problems, and their values and the Compose files where they can be read. `used`: the stack has been
 * started.
 */
export async function examineEnvFiles(
  stack: Stack,
  readable: boolean,
  used: boolean,
): Promise<{ all?: ComposeConfig; values?: Record<string, string>; findings: Finding[] }> {
  const missing = missingEnvFiles(stack)
  const command = stack.suffix ? `npx zx scripts/env.ts ${stack.mode}` : 'make env'
  const findings = [
    ...judgeEnv(checkEnvFiles(root, stack.mode), used, command),
    ...judgeShell(findShellConflicts(root, stack.suffix)),
  ]
  if (missing.length || !readable) return { findings }
  try {
    // what it knows as secret is never printed, not even from a log
    const values = loadEnvValues(root, stack.mode)
    findings.push(...judgeAddresses(stack.mode, values))
    const all = await readComposeConfig(stack)
    const ignored = judgeIgnored(findIgnoredVariables(all, stack))
    return { all, values, findings: [...findings, ...ignored] }
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    return {
      findings: [
        ...findings,
        finding('env files', 'error', `${error.what}: ${error.why}`, error.next),
      ],
    }
  }
}

/** `used`: the stack has been started. Before that, files that are not there are no fault. */
export function judgeEnv(problems: EnvProblem[], used: boolean, command: string): Finding[] {
  const whole = problems.filter(({ key, problem }) => !key && problem === 'is missing')
  const rest = problems.filter(one => !whole.includes(one))
  const words = `${whole.length} are not there: ${whole.map(({ file }) => file).join(', ')}`
  return [
    ...(whole.length
      ? [finding('env files', used || rest.length ? 'error' : 'info', words, command)]
      : []),
    ...rest.map(({ file, key, problem, remedy, remark }) =>
      finding(
        'env files',
        remark ? 'info' : 'error',
        `${file}: ${key ? `${key} ` : ''}${problem}`,
        remedy,
      ),
    ),
  ]
}

/** Variables of the shell that the scripts leave aside, and a bare `docker compose` would take. */
export const judgeShell = (conflicts: { key: string; file: string }[]): Finding[] =>
  conflicts.map(({ key, file }) =>
    finding(
      'env files',
      'info',
      `${key} is set in the shell to something else than in ${file}, which counts`,
      `unset ${key}`,
    ),
  )

/** Variables of extra files that reach no service. */
export const judgeIgnored = (ignored: IgnoredVariable[]): Finding[] =>
  ignored.map(({ file, key }) =>
    finding(
      'env files',
      'error',
      `${file}: ${key} reaches no service: docker-compose.yml sets it itself`,
      'delete it there',
    ),
  )
