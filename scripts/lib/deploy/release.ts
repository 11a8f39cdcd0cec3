// What was deployed: a ConfigMap per release with its manifests (no Secrets), from which it can be put back exactly.
import { gunzipSync, gzipSync } from 'node:zlib'
import { kubectl, kubectlArgv, lastLine, list, type Manifest } from '../cluster/cluster.ts'
import { title } from './manifests.ts'
import type { Place } from '../cluster/place.ts'
import { retried, type Lost } from '../cluster/retried.ts'
import { Failure, exit } from '../errors.ts'

/** How many are kept; more only where what serves would be lost. */
const kept = 10
const label = 'kgc.hu/release'

/** How a release ended; `applying` is one that is at work, or was killed at it. */
export type Ending = 'applying' | 'succeeded' | 'rolled back' | 'broken' | 'interrupted'

export interface Release {
  number: number
  ending: Ending
  /** `deploy`, or `rollback to 7`. */
  what: string
  who: string
  run?: string | undefined
  commit?: string | undefined
  /** Why it was put in place though it is older, or may be. */
  again?: string | undefined
  started: string
  ended?: string
  /** By image, its digest. */
  images: Record<string, string>
  /** By application, the last migration of its database when the release ended; `?` when that could not be asked. */
  heads?: Record<string, string>
  /** What it created; a name that is not among them was there before. */
  created?: string[]
  /** The checks that it was asked. */
  checks?: string[]
  /** Those that failed though it succeeded: nothing was there before, or they failed before. */
  failing?: string[]
  /** Why it failed. */
  cause?: string
}

/** A release as it is stored. */
export interface Stored extends Release {
  manifests: Manifest[]
}

/** A release's manifests, packed; Secrets are left out, sealed ones stay. */
export function pack(manifests: Manifest[]): string {
  const json = JSON.stringify(manifests.filter(({ kind }) => kind !== 'Secret'))
  const packed = gzipSync(json, { level: 9 }).toString('base64')
  // a ConfigMap holds 1 MiB
  if (packed.length > 1_000_000)
    throw new Failure(
      exit.refused,
      'Record the release',
      `its manifests take ${packed.length} bytes, and a ConfigMap holds 1048576`,
    )
  return packed
}

export const unpack = (packed: string): Manifest[] =>
  JSON.parse(gunzipSync(Buffer.from(packed, 'base64')).toString()) as Manifest[]

/** The ConfigMap that holds a release. */
export function configMapOf({ manifests, ...release }: Stored): Manifest {
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: {
      name: `kgc-release-${release.number}`,
      labels: { [label]: String(release.number) },
    },
    data: { release: JSON.stringify(release) },
    binaryData: { manifests: pack(manifests) },
  }
}

/** The release that serves: the last that succeeded. */
export const serving = <T extends Release>(releases: T[]): T | undefined =>
  releases.find(({ ending }) => ending === 'succeeded')

const known = ({ manifests }: Stored) =>
  JSON.stringify(manifests.filter(({ kind }) => kind !== 'Secret'))
/** Whether two releases are the same to the letter, but for Secrets that are not sealed. */
export const isAlike = (a: Stored, b: Stored): boolean => known(a) === known(b)

/** What a release may have left in the cluster: all of one that has served, of another what it created. */
export const leftBy = ({ ending, created, manifests }: Stored): Manifest[] =>
  ending === 'succeeded' || !created
    ? manifests
    : manifests.filter(one => created.includes(title(one)))

/** Which to remove of releases given newest first: all but the ten newest, what serves, and what served before. */
export function surplus<T extends Release>(releases: T[]): T[] {
  const good = releases.filter(({ ending }) => ending === 'succeeded').slice(0, 2)
  return releases.filter((release, index) => index >= kept && !good.includes(release))
}

/** All releases of an environment, the newest first. */
export async function releases(place: Place): Promise<Stored[]> {
  const maps = await list(place, 'configmaps', ['--selector', label])
  const stored = maps.map(({ data, binaryData }) => ({
    ...(JSON.parse(data.release) as Release),
    manifests: unpack(binaryData.manifests),
  }))
  return stored.sort((a, b) => b.number - a.number)
}

/** The release of that number. Throws Failure (usage) when there is none. */
export function find(all: Stored[], number: string): Stored {
  const found = all.find(release => String(release.number) === number.replace(/^kgc-release-/, ''))
  if (found) return found
  throw new Failure(exit.usage, `Find release ${number}`, 'there is none', {
    next: `one of: ${all.map(({ number }) => number).join(', ') || 'none yet'}`,
  })
}

/** Stores a new release, or how one went on. */
export async function store(
  place: Place,
  release: Stored,
  verb: 'create' | 'replace',
  lost?: Lost,
): Promise<void> {
  const map = configMapOf(release)
  const output = await retried(lost)(place, [verb, '--filename', '-'], {
    input: JSON.stringify(map),
    nothrow: true,
  })
  // an answer that was lost on its way: what is there is this one
  const mine = async () => {
    const there = await list(
      place,
      'configmaps',
      ['--field-selector', `metadata.name=${map.metadata.name}`],
      retried(lost),
    )
    return there[0]?.data?.release === map.data.release
  }
  if (
    output.code !== 0 &&
    !(verb === 'create' && /\(AlreadyExists\)/.test(output.stderr) && (await mine()))
  )
    throw new Failure(exit.refused, `Record release ${release.number}`, lastLine(output), {
      next: `${kubectlArgv(place).join(' ')} get configmaps -l ${label}`,
    })
}

/** Removes what `surplus` finds. */
export async function trim(place: Place, all: Release[]): Promise<void> {
  const names = surplus(all).map(({ number }) => `kgc-release-${number}`)
  if (names.length)
    await kubectl(place, ['delete', 'configmap', '--ignore-not-found', ...names], {
      what: 'Remove old releases',
    })
}
