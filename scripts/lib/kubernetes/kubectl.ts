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
  throw new Failure(exit.refused, what ?? `Run kubectl ${argv[0]}`, lastOutputLine(output), {
    next: `${kubectlArgv(environment).join(' ')} get pods`,
  })
}

/** The last line that kubectl said. */
export const lastOutputLine = ({ stdout, stderr, code }: RunOutput): string =>
  lastLineOf(stderr) || lastLineOf(stdout) || `it ended with ${code}`

/** What `kubectl config` says; '' when it says nothing. */
export const readKubectlConfig = async (argv: string[]): Promise<string> =>
  (await run(['kubectl', 'config', ...argv], { nothrow: true })).stdout.trim()
