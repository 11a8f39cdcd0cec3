// The releases of an environment for people: a list, and what changed from one release to another.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { type Manifest } from '../kubernetes/objects.ts'
import { readKubectlError } from '../kubernetes/kubectl.ts'
import { Failure, exit } from '../errors.ts'
import { table } from '../report.ts'
import { run } from '../run.ts'
import { findCurrentRelease, type Release } from '../kubernetes/releases.ts'

/** The releases as a person reads them. */
export function formatReleaseTable(all: Release[]): string {
  const current = findCurrentRelease(all)
  const row = (one: Release) => [
    one === current ? '▸' : '',
    String(one.number),
    one.what,
    one.ending,
    one.started.slice(0, 16).replace('T', ' '),
    one.who,
    (one.commit ?? '').slice(0, 12),
    one.backup && 'name' in one.backup ? one.backup.name : '',
    one.cause ?? (one.again ? `again: ${one.again}` : ''),
  ]
  return table([
    ['', 'release', 'what', 'ended', 'started (UTC)', 'who', 'commit', 'backup', 'cause'],
    ...all.map(row),
  ])
}

const manifestFileName = ({ kind, metadata }: Manifest) => `${kind}.${metadata.name}.yaml`

/**
 * What changed from one list of manifests to another, as `diff` shows it; empty when nothing did.
 */
export async function diffManifests(from: Manifest[], to: Manifest[]): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'kgc-diff-'))
  try {
    for (const [side, manifests] of [
      ['a', from],
      ['b', to],
    ] as const) {
      mkdirSync(join(folder, side))
      for (const one of manifests)
        writeFileSync(
          join(folder, side, manifestFileName(one)),
          stringify(one, { sortMapEntries: true }),
        )
    }
    const output = await run(['diff', '--unified', '--recursive', '--new-file', 'a', 'b'], {
      cwd: folder,
      nothrow: true,
    })
    // 1: they differ
    if (output.code > 1)
      throw new Failure(exit.refused, 'Compare the releases', readKubectlError(output), {
        next: 'diff --version',
      })
    return output.stdout
      .replace(/^diff .*\n/gm, '')
      .replace(/^(---|\+\+\+) (\S+)\t.*$/gm, '$1 $2')
      .trimEnd()
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
