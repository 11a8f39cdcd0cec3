// A change tried on the server, which checks all of it and does nothing.
import { kubectl, type Manifest, type Place } from '../cluster/cluster.ts'
import { explain } from './faults.ts'
import type { Refusals } from './refusals.ts'

/** What the change would do, as the server says after all its checks; each refusal of its in words. */
export async function dryRun(place: Place, all: Manifest[], refusals: Refusals): Promise<string> {
  const [jobs, others] = [all.filter(({ kind }) => kind === 'Job'), all.filter(({ kind }) => kind !== 'Job')]
  const text = (list: Manifest[]) => list.map(one => JSON.stringify(one)).join('\n')
  const complain = (stderr: string) =>
    refusals.add(
      ...stderr
        .trim()
        .split('\n')
        .filter(line => line && !/AlreadyExists|^Warning:/.test(line))
        .map(explain),
    )
  const [diff, created] = await Promise.all([
    kubectl(place, ['diff', '--server-side', '--force-conflicts', '--field-manager', 'kubectl', '--concurrency', '8', '--filename', '-'], {
      input: text(others),
      nothrow: true,
    }),
    // a Job that is there is replaced, not changed
    jobs.length ? kubectl(place, ['create', '--dry-run=server', '--output', 'name', '--filename', '-'], { input: text(jobs), nothrow: true }) : undefined,
  ])
  if (created?.code) complain(created.stderr)
  if (diff.code > 1) {
    // diff ends at the first, apply says all
    const all = await kubectl(
      place,
      ['apply', '--server-side', '--force-conflicts', '--field-manager', 'kubectl', '--dry-run=server', '--output', 'name', '--filename', '-'],
      { input: text(others), nothrow: true },
    )
    complain(all.code ? all.stderr : diff.stderr)
  }
  return diff.stdout
}
