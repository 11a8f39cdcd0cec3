// The test cluster, for tests: they know it by KGC_TEST_KUBECONFIG and by nothing else, so that no
// other cluster is ever touched.
import { spawnSync } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'

const kubeconfig = process.env.KGC_TEST_KUBECONFIG ?? ''
if (!existsSync(kubeconfig)) {
  console.error(
    'KGC_TEST_KUBECONFIG names no file: start the test cluster with `make cluster-up` and export what it prints',
  )
  process.exit(2)
}

const bin = join(dirname(kubeconfig), 'bin')

/** What makes a process a person's who works on the test cluster. */
export const clusterEnv = { KUBECONFIG: kubeconfig, PATH: `${bin}${delimiter}${process.env.PATH}` }

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
  const own = join(bin, name)
  const done = spawnSync(existsSync(own) ? own : name, argv, {
    encoding: 'utf8',
    env: { ...process.env, KUBECONFIG: kubeconfig },
    input: options.input ?? '',
    timeout: options.timeout ?? 60_000,
    maxBuffer: 64 * 1024 * 1024,
  })
  const output = {
    code: done.status ?? 137,
    stdout: done.stdout ?? '',
    stderr: done.stderr || (done.error?.message ?? ''),
  }
  if (output.code !== 0 && !options.nothrow)
    throw new Error(`${name} ${argv.join(' ')} ended with ${output.code}: ${output.stderr.trim()}`)
  return output
}

/** kubectl's standard output. */
export const kubectl = (argv: string[], options: Options = {}): string =>
  tool('kubectl', argv, options).stdout

/** A Secret sealed by the cluster's controller, as `npx zx scripts/seal.ts` does it. */
export function sealSecret(namespace: string, name: string, data: Record<string, string>) {
  const metadata = { name, namespace }
  const secret = { apiVersion: 'v1', kind: 'Secret', metadata, stringData: data }
  const controller = ['--controller-namespace', 'kube-system']
  const argv = [...controller, '--controller-name', 'sealed-secrets-controller', '--format', 'json']
  const { stdout } = tool('kubeseal', argv, { input: JSON.stringify(secret) })
  return JSON.parse(stdout) as Record<string, any>
}

/** An object or a list as kubectl reads it. */
export const get = (...argv: string[]): any =>
  JSON.parse(kubectl(['get', ...argv, '--output', 'json']))

/** Applies objects, which kubectl takes as JSON too. */
export const apply = (...objects: object[]): string =>
  kubectl(['apply', '--filename', '-'], {
    input: objects.map(object => JSON.stringify(object)).join('\n---\n'),
  })

/**
 * Stops what runs in a namespace when this process ends, also when it is told to: what a file leaves
 * that took too long would take the processors from those after it.
 */
export function stopAtExit(space: string): void {
  process.once('exit', () =>
    kubectl(
      [
        ...['delete', 'deployments,statefulsets,jobs,cronjobs', '--all', '--wait=false'],
        ...['--namespace', space],
      ],
      { nothrow: true },
    ),
  )
}

/** A namespace for one test file, removed with the process, or by the next run (empty.sh). */
export function namespace(name: string, labels: Record<string, string> = {}): string {
  const unique = `${name}-${process.pid}`
  apply({
    ...{ apiVersion: 'v1', kind: 'Namespace' },
    metadata: { name: unique, labels: { ...labels, 'kgc.hu/test': '' } },
  })
  process.once('exit', () =>
    kubectl(['delete', 'namespace', unique, '--wait=false', '--ignore-not-found'], {
      nothrow: true,
    }),
  )
  return unique
}

/**
 * Writes a kubeconfig for ServiceAccounts of the test cluster, a context each, for an hour; the
 * first is the current one.
 */
export function writeKubeconfig(
  file: string,
  accounts: { context: string; account: string; namespace: string }[],
): void {
  const { clusters } = JSON.parse(kubectl(['config', 'view', '--raw', '--output', 'json']))
  const token = (account: string, namespace: string) =>
    kubectl(['create', 'token', account, '--namespace', namespace, '--duration', '1h']).trim()
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters,
    contexts: accounts.map(({ context }) => ({
      name: context,
      context: { cluster: clusters[0].name, user: context },
    })),
    'current-context': accounts[0]!.context,
    users: accounts.map(({ context, account, namespace }) => ({
      name: context,
      user: { token: token(account, namespace) },
    })),
  }
  writeFileSync(file, JSON.stringify(config), { mode: 0o600 })
}
