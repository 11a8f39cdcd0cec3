// Everything that can be known before anything is touched; what is wrong is said all at once.
import { proven, unproven } from './after.ts'
import { fromFolders } from '../smoke/checks.ts'
import { kubectl, lastLine, list, rendered, workloads, type Manifest } from '../cluster/cluster.ts'
import { knownCommit } from './commit.ts'
import { Failure, exit } from '../errors.ts'
import { settings } from '../images/bake.ts'
import { faults, missingKeys, otherVolumes } from './faults.ts'
import { forbidden, type Hop } from './hops.ts'
import { current, isInTheWay, writingOf } from './lease.ts'
import { arranged, title } from './manifests.ts'
import { refuseOlder, type Wanted } from './older.ts'
import type { Place } from '../cluster/place.ts'
import { outlast } from './outlast.ts'
import { Refusals } from './refusals.ts'
import { warn } from '../report.ts'
import { releases, serving, type Stored } from './release.ts'
import { mayAll } from './rights.ts'
import { hideRead, liveKeys } from './secrets.ts'
import { imagesOf, stamped } from './stamp.ts'
import { dryRun } from './trial.ts'
import { commitImages, resolve, tagged, type Built } from './versions.ts'

/** What the pre-flight has found out. */
export interface Found {
  /** Stamped, in the order in which they are applied. */
  manifests: Manifest[]
  digests: Map<string, string>
  history: Stored[]
  /** What stands in the environment: workloads, pods, what may start some, and volumes. */
  live: Manifest[]
  /** What `kubectl diff` says of all but the Jobs. */
  diff: string
  commit: string | undefined
  /** Which writing of the lock's lease was there. */
  lease: string
  /** What is asked before it begins: whether it is older cannot be told. */
  questions: string[]
}

/** The manifests to put in place: the overlay's own, or those of a release that is put back (Jobs are not run again). */
export type Source =
  { tag?: string | undefined; again?: string | undefined } | { release: string | undefined }

/** Finds out all that a change needs to know. Throws Failure (refused) with everything that stands in its way. */
export async function preflight(
  place: Place,
  source: Source,
  choose: (history: Stored[]) => Stored | undefined,
): Promise<Found> {
  const refusals = new Refusals()
  const more = new Refusals()
  const what = `Deploy to ${place.name}`
  const known = refusals.check(() => knownCommit())
  // asked at once, and of no interest when the cluster is out of reach
  const lease = more.check(() => current(place))
  const asked = Promise.all([
    // not before the lease is known: who holds it writes releases
    lease.then(() => more.check(() => releases(place))),
    more.check(() => liveKeys(place)),
    lease.then(one => more.check(() => isInTheWay(place, one))),
    more.check(() => list(place, standing)),
    'release' in source ? undefined : known.then(commit => more.check(() => proven(place, commit))),
  ])
  asked.catch(() => {})
  const [reachable, built, commit] = await Promise.all([
    refusals.check(() => reach(place)),
    'release' in source ? [] : refusals.check(() => rendered(place)),
    known,
  ])
  if (!reachable || !built) refusals.done(what)
  const [history, secrets, held, live, had] = await asked
  refusals.add(...more.list)
  if (held) await outlast(place, (await lease)!)
  if (!history || !secrets || !live) refusals.done(what)
  const last = serving(history!)
  const back = 'release' in source ? choose(history!) : undefined
  const own = commitImages()
  const plain =
    'release' in source
      ? withClaims(back!.manifests, live!)
      : tagged(place, built!, own, source.tag, last, refusals)
  const questions =
    'release' in source
      ? []
      : await refuseOlder(
          wantedOf(place, own, source.tag, commit),
          history!,
          refusals,
          source.again,
        )
  hideRead([...plain, ...(last?.manifests ?? [])])
  refusals.add(...faults(plain), ...missingKeys(plain, secrets!), ...otherVolumes(plain, live!))
  const tried = async () => {
    // who leaves a release needs its images no more
    const digests = await resolve(plain, last, refusals, back ? warn : words => refusals.add(words))
    const manifests = arranged(back ? plain : stamped(plain, digests))
    const wanted = back ? manifests.filter(({ kind }) => kind !== 'Job') : manifests
    return {
      digests,
      manifests,
      diff: refusals.list.some(one => /^no release says/.test(one))
        ? ''
        : await dryRun(place, wanted, refusals),
    }
  }
  const [found] = await Promise.all([
    tried(),
    refusals.check(() => mayAll(place, plain)),
    hops(plain, live!, Boolean(back), refusals),
  ])
  refusals.add(...unproven(place, had, found.digests))
  refusals.done(what)
  return {
    ...found,
    history: history!,
    live: live!,
    commit: commit ?? undefined,
    lease: writingOf(await lease),
    questions,
  }
}

/** What is to be held against the releases that have served. */
const wantedOf = (
  { images }: Place,
  own: Built[],
  tag: string | undefined,
  commit: string | undefined,
): Wanted => {
  const variable = own.find(({ source }) => source)?.source
  return {
    commit,
    tag,
    names: own.map(({ name }) => `${images}/${name}`),
    source: variable && settings()[variable],
  }
}

/** What stands in the environment, what may start a pod there, and its volumes. */
const standing =
  'deployments,statefulsets,replicasets,controllerrevisions,pods,jobs,persistentvolumeclaims'

/** Volumes that are there keep their size: it may have grown since, and cannot shrink. */
function withClaims(all: Manifest[], live: Manifest[]): Manifest[] {
  const here = (one: Manifest) =>
    live.find(other => other.kind === 'PersistentVolumeClaim' && title(other) === title(one))
  return all.map(one =>
    here(one) ? { ...one, spec: { ...one.spec, resources: here(one)!.spec.resources } } : one,
  )
}

/** kubectl is there and of an age with the cluster, and the cluster answers in the environment's context. */
async function reach(place: Place): Promise<true> {
  const next = `npx zx scripts/bootstrap.ts --doctor --cluster --environment ${place.name}`
  const output = await kubectl(place, ['version', '--output', 'json', '--request-timeout', '15s'], {
    nothrow: true,
  })
  if (output.code !== 0)
    throw new Failure(exit.refused, `Ask the cluster of ${place.name}`, lastLine(output), { next })
  const { clientVersion, serverVersion } = JSON.parse(output.stdout) as Record<
    string,
    { minor: string }
  >
  const [client, server] = [clientVersion, serverVersion].map(version => parseInt(version!.minor))
  if (server! < 30)
    throw new Failure(
      exit.refused,
      'Look at the versions',
      `Kubernetes is 1.${server}, 1.30 is needed`,
      { next },
    )
  if (client! < 30)
    throw new Failure(
      exit.refused,
      'Look at the versions',
      `kubectl is 1.${client}, 1.30 is needed`,
      {
        next: 'https://kubernetes.io/docs/tasks/tools/#kubectl',
      },
    )
  return true
}

/** Jumps between versions that an application forbids, judged by what runs. */
async function hops(
  all: Manifest[],
  live: Manifest[],
  back: boolean,
  refusals: Refusals,
): Promise<void> {
  if (back) return
  const rules = (await fromFolders<{ hops: Hop[] }>('hops.ts')).flatMap(({ hops }) => hops)
  for (const one of workloads(all)) {
    const now = live.find(other => title(other) === title(one))
    if (now)
      refusals.add(
        ...forbidden(rules, imagesOf([now]), imagesOf([one])).map(
          words => `${title(one)}: ${words}`,
        ),
      )
  }
}
