// Which context kubectl would act in. Without one it asks localhost:8080, where anything may
// answer.
import { existsSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { delimiter, join } from 'node:path'
import { parse } from 'yaml'
import { Failure, exit } from '../errors.ts'
import type { Environment } from './environment.ts'

export interface KubeContexts {
  /** Where they are looked for. */
  files: string[]
  names: string[]
  current: string | undefined
}

/**
 * The contexts that kubectl knows: of all the files of KUBECONFIG together, the first of which that
 * says so names the current one
 * (https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/#merging-kubeconfig-files).
 * Nothing when one of them cannot be read: kubectl says that better.
 */
export function readKubeContexts({ KUBECONFIG = '' } = process.env): KubeContexts | undefined {
  const files = KUBECONFIG
    ? KUBECONFIG.split(delimiter).filter(Boolean)
    : [join(homedir(), '.kube/config')]
  try {
    const all = files
      .filter(file => existsSync(file))
      .map(file => Object(parse(readFileSync(file, 'utf8'))) as Record<string, any>)
    const names = all
      .flatMap(one => (one.contexts ?? []) as { name: string }[])
      .map(({ name }) => name)
    return {
      files,
      names: [...new Set(names)],
      current: all.map(one => one['current-context']).find(Boolean),
    }
  } catch {
    return undefined
  }
}

/** Why there is no context to act in, and what helps. */
export function findContextProblem(
  { name, folder, context }: Environment,
  { files, names, current }: KubeContexts,
): { why: string; next: string } | undefined {
  const wanted = context
    ? `${name} uses the context ${context} (${folder}/environment.yaml)`
    : `${folder}/environment.yaml names none, so the current one is used`
  if (!names.length)
    return {
      why: `no context is configured in ${files.join(' or ')}; ${wanted}`,
      next: 'export KUBECONFIG=FILE   (a kubeconfig that has it; then the same command again)',
    }
  const used = context ?? current
  if (!used)
    return {
      why: `no context is the current one; ${wanted}; there are ${names.join(', ')}`,
      next: 'kubectl config use-context NAME',
    }
  if (names.includes(used)) return undefined
  const why = `the kubeconfig has no context ${used}${context ? `; ${wanted}` : ', which it calls the current one'}; it has ${names.join(', ')}`
  return {
    why,
    next: `kubectl config get-contexts   (then rename-context${context ? `, or another name in ${folder}/environment.yaml` : ' or use-context'})`,
  }
}

const checkedContexts = new Set<string>()

/** Throws Failure (refused) when there is no context to act in. In a pod kubectl needs none. */
export function requireKubeContext(environment: Environment, what: string): void {
  const key = `${process.env.KUBECONFIG} ${environment.context}`
  if (checkedContexts.has(key) || (process.env.KUBERNETES_SERVICE_HOST && !environment.context))
    return
  const known = readKubeContexts()
  const fault = known && findContextProblem(environment, known)
  if (fault) throw new Failure(exit.refused, what, fault.why, { next: fault.next })
  checkedContexts.add(key)
}
