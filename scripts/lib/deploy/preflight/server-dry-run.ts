// A change tried on the server, which checks all of it and does nothing.
import { kubectl, type Manifest } from '../../kubernetes/kubectl.ts'
import { explainServerError } from './manifest-errors.ts'
import { parseKubectlDiff } from '../apply/order.ts'
import type { Environment } from '../../kubernetes/environment.ts'
import type { PreflightProblems } from './problems.ts'
import type { RunOutput } from '../../run.ts'

/** ms: a machine under load takes its time for what a person waits for once. */
const dryRunTimeoutMs = 180_000

/**
 * What the change would do, as the server says after all its checks; each refusal of its in words.
 */
export async function runServerDryRun(
  environment: Environment,
  all: Manifest[],
  refusals: PreflightProblems,
): Promise<string> {
  const [jobs, others] = [
    all.filter(({ kind }) => kind === 'Job'),
    all.filter(({ kind }) => kind !== 'Job'),
  ]
  const text = (list: Manifest[]) => list.map(one => JSON.stringify(one)).join('\n')
  const complain = (stderr: string, { code }: RunOutput, what: string) => {
    const lines = stderr
      .trim()
      .split('\n')
      .filter(line => line && !/AlreadyExists|^Warning:/.test(line))
    refusals.add(...lines.map(explainServerError))
    // who says nothing has not found that all is well
    const after = code === 124 ? ` after ${dryRunTimeoutMs / 1000} s` : ''
    if (code > 1 && !lines.length)
      refusals.add(`kubectl ${what} ended with ${code}${after}: what would change is not known`)
  }
  const [diff, created] = await Promise.all([
    kubectl(
      environment,
      [
        'diff',
        '--server-side',
        '--force-conflicts',
        '--field-manager',
        'kubectl',
        '--concurrency',
        '8',
        '--filename',
        '-',
      ],
      {
        input: text(others),
        nothrow: true,
        timeout: dryRunTimeoutMs,
        // what a person likes to read, readDiff need not understand
        env: { KUBECTL_EXTERNAL_DIFF: '' },
      },
    ),
    // a Job that is there is replaced, not changed
    jobs.length
      ? kubectl(
          environment,
          ['create', '--dry-run=server', '--output', 'name', '--filename', '-'],
          {
            input: text(jobs),
            nothrow: true,
            timeout: dryRunTimeoutMs,
          },
        )
      : undefined,
  ])
  if (created?.code) complain(created.stderr, created, 'create --dry-run')
  if (diff.code > 1) {
    // diff ends at the first, apply says all
    const all = await kubectl(
      environment,
      [
        'apply',
        '--server-side',
        '--force-conflicts',
        '--field-manager',
        'kubectl',
        '--dry-run=server',
        '--output',
        'name',
        '--filename',
        '-',
      ],
      { input: text(others), nothrow: true, timeout: dryRunTimeoutMs },
    )
    complain(all.code && all.stderr ? all.stderr : diff.stderr, diff, 'diff')
  }
  const { unknown, created: news, changed } = parseKubectlDiff(diff.stdout, others)
  if (diff.code === 1 && (unknown.length || !(news.length + changed.length)))
    refusals.add(
      `the output of kubectl diff is not understood${unknown.length ? `: ${unknown.join(', ')}` : ''}; what would change is not known`,
    )
  return diff.stdout
}
