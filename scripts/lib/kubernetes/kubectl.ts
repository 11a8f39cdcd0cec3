// How the cluster is asked, and what an environment's manifests make.
import { join } from 'node:path'
import { Failure, exit } from '../errors.ts'
import type { Manifest } from './objects.ts'
import { requireKubeContext } from './kube-context.ts'
import type { Environment } from './environment.ts'
import { root } from '../repository.ts'
import { run, type RunOutput, type RunOptions } from '../run.ts'

export type { Manifest } from './objects.ts'

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
  (stderr.trim() || stdout.trim()).split('\n').at(-1) || `it ended with ${code}`

/**
 * What kustomize makes of a folder (relative to the repository), as kubectl itself reads it: by a
 * patch that changes nothing, without asking a cluster. Another parser reads other values: YAML 1.2
 * takes `13e9474` for a number (kubernetes-sigs/kustomize#4081). Throws Failure (usage) with
 * kustomize's words.
 */
export async function buildKustomization(
  environment: Environment,
  folder: string,
): Promise<Manifest[]> {
  const patch = ['patch', '--local', '--type', 'merge', '--patch', '{}', '--output', 'json']
  // without context and namespace: it would refuse what belongs elsewhere
  const output = await run(['kubectl', ...patch, '--kustomize', join(root, folder)], {
    nothrow: true,
    timeout: 60_000,
  })
  if (output.code === 127) throw createKubectlMissing()
  if (output.code !== 0) {
    const env = output.stderr.includes(`.env.${environment.name}`)
    const why = lastOutputLine(output).replaceAll(`${root}/`, '')
    throw new Failure(exit.usage, `Build ${folder}`, why, {
      next: env ? `npx zx scripts/env.ts ${environment.name}` : `kubectl kustomize ${folder}`,
    })
  }
  // one after the other, indented
  return output.stdout.split(/\n(?=\{)/).map(text => JSON.parse(text) as Manifest)
}

/** The environment's manifests. */
export const renderManifests = (environment: Environment): Promise<Manifest[]> =>
  buildKustomization(environment, environment.folder)

/** What makes pods. */
export const selectWorkloads = (all: Manifest[]): Manifest[] =>
  all.filter(({ kind }) => ['Deployment', 'StatefulSet', 'DaemonSet', 'Job'].includes(kind))

/**
 * What the overlay's ConfigMap `stack` says: the domain, the port in addresses, the time zone. Its
 * name ends with kustomize's hash.
 */
export function readStackConfig(all: Manifest[]): Record<string, string> {
  const found = all.find(
    ({ kind, metadata }) => kind === 'ConfigMap' && /^stack(-[a-z0-9]{10})?$/.test(metadata.name),
  )
  if (!found) throw new Failure(exit.usage, 'Read the overlay', 'it has no ConfigMap `stack`')
  return found.data as Record<string, string>
}

/** What `kubectl config` says; '' when it says nothing. */
export const readKubectlConfig = async (argv: string[]): Promise<string> =>
  (await run(['kubectl', 'config', ...argv], { nothrow: true })).stdout.trim()
