// Runs kubectl in an environment's context and namespace.
import { Failure, exit } from '../errors.ts'
import { lastLineOf } from '../text.ts'
import { requireKubeContext } from './kube-context.ts'
import type { Environment } from './environment.ts'
import { run, type RunOutput, type RunOptions } from '../run.ts'

/** Everything before the subcommand, as a person would write it too. */
export const kubectlArgv = ({ context, namespace }: Environment): string[] => [
  'kubectl',
  ...(context ? ['--context', context] : []),
  '--namespace',
  namespace,
]

/**
 * Runs kubectl in the environment's context and namespace; KUBECONFIG is kubectl's own. Throws
 * Failure (refused) when there is no kubectl, or no such context.
 */
export async function kubectl(
  environment: Environment,
  argv: string[],
  options: RunOptions = {},
): Promise<RunOutput> {
  requireKubeContext(environment, options.what ?? `Ask the cluster of ${environment.name}`)
  const output = await run([...kubectlArgv(environment), ...argv], {
    timeout: 60_000,
    ...options,
    nothrow: true,
  })
  if (output.code === 127) throw createKubectlMissing(options.what)
  return options.nothrow ? output : requireKubectlSuccess(environment, argv, options, output)
}

/** The refusal of what cannot be done without kubectl. */
export const createKubectlMissing = (what = 'Run kubectl'): Failure =>
  new Failure(exit.refused, what, 'kubectl is not on the PATH', {
    next: 'https://kubernetes.io/docs/tasks/tools/#kubectl',
  })

/** What kubectl said, when it has done it. Throws Failure (refused) when it has not. */
export function requireKubectlSuccess(
  environment: Environment,
  argv: string[],
  { what }: RunOptions,
  output: RunOutput,
): RunOutput {
  if (output.code === 0) return output
  throw new Failure(exit.refused, what ?? `Run kubectl ${argv[0]}`, readKubectlError(output), {
    next: `${kubectlArgv(environment).join(' ')} get pods`,
  })
}

/** How kubectl begins what it says of its own failure. */
const errorPattern =
  /^(error: |error in |Error from server|Unable to connect|The connection to the server|The \S+ "[^"]*" is invalid)/i
/** What its libraries log, and warnings; kustomize's begin with `#`. */
const notePattern = /^(?:[IWEF]\d{4} [\d:.]+ +\d+ |(?:# )?Warning: )/

/**
 * Why kubectl has failed: the first line that it says itself, and what a login plug-in said before.
 * What comes after it is advice or detail. Where it says nothing of its own it is the last line.
 */
export function readKubectlError({
  stdout,
  stderr,
  code,
}: Pick<RunOutput, 'stdout' | 'stderr' | 'code'>): string {
  const lines = listSaidLines(stderr)
  const first = lines.findIndex(line => errorPattern.test(line))
  const why = lines[first]
  return why
    ? addWordsBefore(why, lines.slice(0, first))
    : lines.at(-1) || lastLineOf(stdout) || `it ended with ${code}`
}

/** The lines that say something, without notes. */
export const listSaidLines = (text: string): string[] =>
  text
    .split('\n')
    .map(line => line.trim())
    .filter(line => line && !notePattern.test(line))

/** A failure with the last lines that somebody else said before it. */
export const addWordsBefore = (why: string, before: string[]): string =>
  before.length ? `${why} (said before: ${before.slice(-3).join('; ').slice(0, 400)})` : why

/** What `kubectl config` says; '' when it says nothing. */
export const readKubectlConfig = async (argv: string[]): Promise<string> =>
  (await run(['kubectl', 'config', ...argv], { nothrow: true })).stdout.trim()
