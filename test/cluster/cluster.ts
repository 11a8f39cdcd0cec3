// The test cluster, for tests: they know it by KGC_TEST_KUBECONFIG and by nothing else, so that no other cluster is ever touched.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'

const kubeconfig = process.env.KGC_TEST_KUBECONFIG ?? ''
if (!existsSync(kubeconfig)) {
  console.error('KGC_TEST_KUBECONFIG names no file: start the test cluster with `make cluster-up` and export what it prints')
  process.exit(2)
}

/** From where the test cluster's node pulls; test/cluster/engine/push.sh puts images there. */
export const registry = '127.0.0.1:5001'

export interface Output {
  code: number
  stdout: string
  stderr: string
}

export interface Options {
  input?: string
  /** ms */
  timeout?: number
  /** Return a non-zero exit code instead of throwing. */
  nothrow?: boolean
}

/** Runs kubectl, kubeseal or another tool that came with the cluster. */
export function tool(name: string, argv: string[], options: Options = {}): Output {
  const own = join(dirname(kubeconfig), 'bin', name)
  const done = spawnSync(existsSync(own) ? own : name, argv, {
    encoding: 'utf8',
    env: { ...process.env, KUBECONFIG: kubeconfig },
    input: options.input ?? '',
    timeout: options.timeout ?? 60_000,
    maxBuffer: 64 * 1024 * 1024,
  })
  const output = { code: done.status ?? 137, stdout: done.stdout ?? '', stderr: done.stderr || (done.error?.message ?? '') }
  if (output.code !== 0 && !options.nothrow) throw new Error(`${name} ${argv.join(' ')} ended with ${output.code}: ${output.stderr.trim()}`)
  return output
}

/** kubectl's standard output. */
export const kubectl = (argv: string[], options: Options = {}): string => tool('kubectl', argv, options).stdout

/** An object or a list as kubectl reads it. */
export const get = (...argv: string[]): any => JSON.parse(kubectl(['get', ...argv, '--output', 'json']))

/** Applies objects, which kubectl takes as JSON too. */
export const apply = (...objects: object[]): string =>
  kubectl(['apply', '--filename', '-'], { input: objects.map(object => JSON.stringify(object)).join('\n---\n') })

/** Waits until `check` returns something true, and returns it; an error in it counts as not yet. */
export async function until<T>(what: string, seconds: number, check: () => T): Promise<NonNullable<T>> {
  let last: unknown
  for (const end = Date.now() + seconds * 1000; Date.now() < end; await new Promise(done => setTimeout(done, 500))) {
    try {
      const found = check()
      if (found) return found
    } catch (error) {
      last = error
    }
  }
  throw new Error(`${what}: not after ${seconds} s${last instanceof Error ? `; ${last.message}` : ''}`)
}

/** A namespace for one test file, removed with the process. */
export function namespace(name: string, labels: Record<string, string> = {}): string {
  const unique = `${name}-${process.pid}`
  apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: unique, labels } })
  process.once('exit', () => kubectl(['delete', 'namespace', unique, '--wait=false', '--ignore-not-found'], { nothrow: true }))
  return unique
}
