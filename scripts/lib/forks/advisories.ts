// Whether a published advisory is about a version. Pure.
import { compareVersions } from './definition.ts'
import type { Advisory } from './github.ts'

const comparisons: Record<string, (order: number) => boolean> = {
  '<': order => order < 0,
  '<=': order => order <= 0,
  '>': order => order > 0,
  '>=': order => order >= 0,
  '=': order => order === 0,
}

/** Whether a version is in a range like `>= 2.0, < 2.1.8`; undefined for a range in other words. */
export function isInRange(version: string, range: string): boolean | undefined {
  const parts = range.split(',').map(part => /^\s*([<>]?=?)\s*v?(\d+(?:\.\d+)*)\s*$/.exec(part))
  if (!parts.every(part => part !== null)) return undefined
  return parts.every(([, sign, bound]) =>
    comparisons[sign || '=']?.(compareVersions(padVersion(version), padVersion(bound ?? ''))),
  )
}

/** `2` as `2.0.0`. */
const padVersion = (version: string): string =>
  [...version.split('.'), '0', '0'].slice(0, Math.max(3, version.split('.').length)).join('.')

export interface AdvisoryVerdict {
  id: string
  severity: string
  summary: string
  url: string
  /** `unknown`: its range is in words that nobody can compare. */
  affected: 'yes' | 'unknown'
  /** The version that fixes it, as the advisory says. */
  patched: string
}

/**
 * The advisories that are, or may be, about this version; without a version (no release) all of
 * them may be.
 */
export function judgeAdvisories(
  advisories: Advisory[],
  version: string | undefined,
): AdvisoryVerdict[] {
  return advisories.flatMap(advisory => {
    const ranges = (advisory.vulnerabilities ?? []).map(one => one.vulnerable_version_range ?? '')
    const verdicts = ranges.map(range => (version ? isInRange(version, range) : undefined))
    const affected = verdicts.includes(true) ? 'yes' : 'unknown'
    const isClear = verdicts.length > 0 && verdicts.every(one => one === false)
    if (isClear) return []
    const patched = (advisory.vulnerabilities ?? []).flatMap(one => one.patched_versions || [])
    return [
      {
        id: advisory.ghsa_id,
        severity: advisory.severity ?? 'unknown',
        summary: advisory.summary,
        url: advisory.html_url,
        affected,
        patched: [...new Set(patched)].join(', '),
      },
    ]
  })
}
