// A kubectl for unit tests: a shell script on the PATH that says what the API server would, to what
// is asked by a process and to what is asked through `kubectl proxy`.
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { createKubernetesDeployTarget } from '../../scripts/lib/deploy/target.ts'
import type { Environment } from '../../scripts/lib/kubernetes/environment.ts'

export const environment: Environment = {
  name: 'test',
  folder: 'infra/k8s/overlays/test',
  namespace: 'played',
  edge: {},
  disposable: true,
  protected: false,
  stableSeconds: 0,
  sealedSecrets: { namespace: '', name: '' },
}

export const target = createKubernetesDeployTarget(environment)

/** The line by which a program for Node plays `kubectl proxy`: its argument is the socket. */
const playBy = (program: string) =>
  `case " $* " in *" proxy "*) while [ "$1" != --unix-socket ]; do shift; done; exec '${process.execPath}' '${program}' "$2" ;; esac`

/** The line of a fake kubectl by which it plays `kubectl proxy` with its own answers. */
export const playProxy = `case " $* " in *" proxy "*) exec '${process.execPath}' '${join(import.meta.dirname, 'fake-proxy.mjs')}' "$0" "$@" ;; esac`

export interface FakeKubectlRun<T> {
  /** What `work` returned, or threw. */
  value?: T
  error?: Error & Record<string, any>
  /** The argument lists that kubectl was called with. */
  calls: string[]
  /** What was said on stderr. */
  said: string
  ms: number
}

/**
 * A kubeconfig with these contexts, the first of which is the current one; it goes with the
 * process.
 */
export function kubeconfigOf(...names: string[]): string {
  const box = mkdtempSync(join(tmpdir(), 'kgc-kubeconfig-'))
  process.once('exit', () => rmSync(box, { recursive: true, force: true }))
  const file = join(box, 'config')
  writeFileSync(
    file,
    JSON.stringify({
      contexts: names.map(name => ({ name, context: {} })),
      'current-context': names[0],
    }),
  )
  return file
}

/**
 * Does `work` with a kubectl that runs this body: `$*` is its argument list, `$n` how often it was
 * called before, `.` a folder of its own. `proxy`: a program for Node that serves the socket of its
 * first argument in the place of `kubectl proxy`.
 */
export async function withFakeKubectl<T>(
  body: string,
  work: () => Promise<T>,
  proxy?: string,
): Promise<FakeKubectlRun<T>> {
  const box = mkdtempSync(join(tmpdir(), 'kgc-kubectl-'))
  const calls = () =>
    existsSync(join(box, 'calls'))
      ? readFileSync(join(box, 'calls'), 'utf8').trim().split('\n')
      : []
  if (proxy) writeFileSync(join(box, 'proxy.cjs'), proxy)
  writeFileSync(
    join(box, 'kubectl'),
    `#!/bin/sh\n${proxy ? playBy(join(box, 'proxy.cjs')) : playProxy}\ncd ${box}\nn=$(cat calls 2>/dev/null | wc -l); echo "$*" >>calls\n${body}\n`,
  )
  chmodSync(join(box, 'kubectl'), 0o755)
  const [path, write, start] = [process.env.PATH, process.stderr.write, Date.now()]
  let said = ''
  process.env.PATH = `${box}${delimiter}${path}`
  process.env.KUBECONFIG = kubeconfigOf('played')
  process.stderr.write = ((text: string) => Boolean((said += text))) as typeof write
  try {
    const ended = await work().then(
      value => ({ value }),
      (error: Error) => ({ error }),
    )
    return { ...ended, calls: calls(), said, ms: Date.now() - start }
  } finally {
    process.env.PATH = path
    process.stderr.write = write
    rmSync(box, { recursive: true, force: true })
  }
}
