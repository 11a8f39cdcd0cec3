// Everything that can be known before anything is touched; what is wrong is said all at once.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'
import { fromFolders } from './checks.ts'
import { kubectl, kubectlArgv, lastLine, list, rendered, workloads, type Manifest, type Place } from './cluster.ts'
import { dockerFolder } from './compose.ts'
import { Failure, exit } from './errors.ts'
import { forbidden, type Hop } from './hops.ts'
import { describe, inTheWay } from './lock.ts'
import { arranged, explain, faults, imagesOf, missingKeys, stamped, title, withImages, withTag } from './plan.ts'
import { digestOf, parseImage } from './registry.ts'
import { releases, serving, type Stored } from './release.ts'
import { run } from './run.ts'

/** Collects what is wrong. */
export class Refusals {
  readonly list: string[] = []

  /** What `work` returns; undefined when it fails, which is remembered. */
  async check<T>(work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await work()
    } catch (error) {
      if (!(error instanceof Failure)) throw error
      this.add(`${error.what}: ${error.why}${error.next ? `; ${error.next}` : ''}`)
      return undefined
    }
  }

  add(...words: string[]): void {
    for (const one of words) if (!this.list.includes(one)) this.list.push(one)
  }

  /** Throws Failure (refused) with all that is wrong, if something is. */
  done(what: string): void {
    if (!this.list.length) return
    const [first, ...more] = this.list
    const why = more.length ? `${this.list.length} reasons, nothing was touched` : `${first}; nothing was touched`
    throw new Failure(exit.refused, what, why, {
      evidence: more.length ? this.list.map(one => `- ${one}`).join('\n') : undefined,
      next: 'mend it, then the same command again',
    })
  }
}

/** What the pre-flight has found out. */
export interface Found {
  /** Stamped, in the order in which they are applied. */
  manifests: Manifest[]
  digests: Map<string, string>
  history: Stored[]
  /** What `kubectl diff` says of all but the Jobs. */
  diff: string
  commit: string | undefined
}

/** The manifests to put in place: the overlay's own, or those of a release that is put back (Jobs are not run again). */
export type Source = { tag?: string | undefined } | { release: string | undefined }

/** The names of the images that are built of KGC's own commit, by the file that says how. */
function commitImages({ images }: Place): string[] {
  const { services } = parse(readFileSync(join(dockerFolder, 'docker-compose.build.yml'), 'utf8')) as { services: Record<string, { image: string }> }
  const own = Object.values(services)
    .map(({ image }) => image)
    .filter(image => image.includes('${KGC_REF'))
  return images ? own.map(image => `${images}/${/([\w-]+):\$/.exec(image)![1]}`) : []
}

/** A deploy's manifests before they are stamped: --tag names the commit of KGC's images; without it they stay as they serve. */
function tagged(place: Place, all: Manifest[], tag: string | undefined, last: Stored | undefined, refusals: Refusals): Manifest[] {
  const names = commitImages(place)
  if (tag) return withTag(all, names, tag)
  const missing = new Set<string>()
  const result = withImages(all, old => {
    const image = parseImage(old)
    if (image.tag !== 'unset') return old
    const now = imagesOf(last?.manifests ?? []).find(one => parseImage(one).name === image.name)
    if (!now) missing.add(image.name)
    return now ?? old
  })
  if (missing.size) refusals.add(`no release says which commit of ${[...missing].join(', ')} serves: --tag SHA`)
  return result
}

/** Finds out all that a change needs to know. Throws Failure (refused) with everything that stands in its way. */
export async function preflight(place: Place, source: Source, choose: (history: Stored[]) => Stored | undefined): Promise<Found> {
  const refusals = new Refusals()
  const what = `Deploy to ${place.name}`
  const [reachable, built, commit] = await Promise.all([
    refusals.check(() => reach(place)),
    'release' in source ? [] : refusals.check(() => rendered(place)),
    refusals.check(() => knownCommit()),
  ])
  if (!reachable || !built) refusals.done(what)
  const [history, secrets, lease, live] = await Promise.all([
    refusals.check(() => releases(place)),
    refusals.check(() => liveKeys(place)),
    refusals.check(() => inTheWay(place)),
    refusals.check(() => list(place, 'deployments,statefulsets')),
  ])
  if (lease)
    throw new Failure(exit.locked, what, describe(lease), { next: `npx zx scripts/deploy.ts ${place.name} --unlock --reason "…", if nobody is at work` })
  if (!history || !secrets || !live) refusals.done(what)
  const last = serving(history!)
  const back = 'release' in source ? choose(history!) : undefined
  const plain = 'release' in source ? back!.manifests : tagged(place, built!, source.tag, last, refusals)
  refusals.add(...faults(plain), ...missingKeys(plain, secrets!))
  const [digests] = await Promise.all([resolve(plain, last, refusals), refusals.check(() => mayAll(place, plain)), hops(plain, live!, Boolean(back), refusals)])
  const manifests = arranged(back ? plain : stamped(plain, digests))
  const diff = refusals.list.some(one => /^no release says/.test(one))
    ? ''
    : await dryRun(place, back ? manifests.filter(({ kind }) => kind !== 'Job') : manifests, refusals)
  refusals.done(what)
  return { manifests, digests, history: history!, diff, commit: commit ?? undefined }
}

/** kubectl is there and of an age with the cluster, and the cluster answers in the environment's context. */
async function reach(place: Place): Promise<true> {
  const next = `npx zx scripts/bootstrap.ts --doctor --cluster --environment ${place.name}`
  const output = await kubectl(place, ['version', '--output', 'json', '--request-timeout', '15s'], { nothrow: true })
  if (output.code !== 0) throw new Failure(exit.refused, `Ask the cluster of ${place.name}`, lastLine(output), { next })
  const { clientVersion, serverVersion } = JSON.parse(output.stdout) as Record<string, { minor: string }>
  const [client, server] = [clientVersion, serverVersion].map(version => parseInt(version!.minor))
  if (server! < 30) throw new Failure(exit.refused, 'Look at the versions', `Kubernetes is 1.${server}, 1.30 is needed`, { next })
  if (client! < 30)
    throw new Failure(exit.refused, 'Look at the versions', `kubectl is 1.${client}, 1.30 is needed`, {
      next: 'https://kubernetes.io/docs/tasks/tools/#kubectl',
    })
  return true
}

/** The commit that is deployed; in CI it must be one that everybody can look at. */
export async function knownCommit(): Promise<string | undefined> {
  const git = async (...argv: string[]) => (await run(['git', '-C', dockerFolder, ...argv], { nothrow: true })).stdout.trim()
  const [commit, changes] = await Promise.all([git('rev-parse', 'HEAD'), git('status', '--porcelain', '--untracked-files=no')])
  if (process.env.CI === 'true') {
    const fail = (why: string) => new Failure(exit.refused, 'Look at the commit', why, { next: 'deploy a pushed commit from a fresh checkout' })
    if (!commit) throw fail('this is no git repository')
    if (changes) throw fail(`files are changed: ${changes.split('\n').slice(0, 3).join(', ')}`)
    if (process.env.GITHUB_SHA !== commit && !(await git('branch', '--remotes', '--contains', commit)))
      throw fail(`${commit.slice(0, 12)} is on no branch of the remote`)
  }
  return commit ? `${commit}${changes ? '-dirty' : ''}` : undefined
}

/** The names of the namespace's Secrets and their keys that are not empty; no value leaves the cluster's answer. */
async function liveKeys(place: Place): Promise<Map<string, string[]>> {
  const template = '{{range .items}}{{.metadata.name}}{{range $key, $value := .data}}{{if $value}} {{$key}}{{end}}{{end}}{{"\\n"}}{{end}}'
  const { stdout } = await kubectl(place, ['get', 'secrets', '--output', `go-template=${template}`], { what: 'Read which secrets there are' })
  return new Map(
    stdout
      .split('\n')
      .filter(Boolean)
      .map(line => line.split(' '))
      .map(([name, ...keys]) => [name!, keys]),
  )
}

/** The digest of every image, and whether those to go back to are still there. */
async function resolve(all: Manifest[], last: Stored | undefined, refusals: Refusals): Promise<Map<string, string>> {
  const digests = new Map<string, string>()
  const now = imagesOf(all)
  const ask = (image: string, words: string) =>
    digestOf(image).then(
      digest => digests.set(image, digest),
      error => refusals.add(`${words} ${image}: ${(error as Error).message}`),
    )
  const old = imagesOf(last?.manifests.filter(({ kind }) => kind !== 'Job') ?? []).filter(image => !now.includes(image))
  await Promise.all([...now.map(image => ask(image, 'the image')), ...old.map(image => ask(image, `the image to go back to, of release ${last?.number},`))])
  return digests
}

const plural = (kind: string): string => kind.toLowerCase().replace(/y$/, 'ie').replace(/s$/, 'se') + 's'
const groupOf = ({ apiVersion }: Manifest): string => (apiVersion as string).split('/').reverse()[1] ?? ''

/** The rights for all that will be done, asked in one call. */
async function mayAll(place: Place, all: Manifest[]): Promise<void> {
  const wanted = new Set<string>()
  const want = (group: string, resource: string, ...verbs: string[]) => verbs.forEach(verb => wanted.add([verb, group, ...resource.split('/')].join(' ')))
  for (const one of all) want(groupOf(one), plural(one.kind), 'get', 'create', 'patch', ...(/Secret|VolumeClaim/.test(one.kind) ? [] : ['delete']))
  want('', 'configmaps', 'list', 'create', 'update', 'delete')
  want('coordination.k8s.io', 'leases', 'get', 'create', 'update')
  want('', 'pods', 'list', 'delete')
  for (const resource of ['events', 'secrets']) want('', resource, 'list')
  want('', 'pods/log', 'get')
  want('', 'pods/exec', 'create')
  for (const resource of ['deployments', 'statefulsets', 'replicasets', 'controllerrevisions']) want('apps', resource, 'list')
  want('batch', 'jobs', 'list')
  const reviews = [...wanted].map(one => {
    const [verb, group, resource, subresource] = one.split(' ')
    return {
      apiVersion: 'authorization.k8s.io/v1',
      kind: 'SelfSubjectAccessReview',
      spec: { resourceAttributes: { namespace: place.namespace, verb, group, resource, ...(subresource ? { subresource } : {}) } },
    }
  })
  const template = '{.spec.resourceAttributes.verb} {.spec.resourceAttributes.resource} {.spec.resourceAttributes.subresource} {.status.allowed}{"\\n"}'
  const { stdout } = await kubectl(place, ['create', '--filename', '-', '--output', `jsonpath=${template}`], {
    input: reviews.map(one => JSON.stringify(one)).join('\n'),
    what: 'Ask what this account may do',
  })
  const denied = stdout
    .split('\n')
    .filter(line => line.endsWith('false'))
    .map(line => line.replace(/ +false$/, '').replace(/^(\S+ \S+) (\S+)$/, '$1/$2'))
  if (denied.length)
    throw new Failure(exit.refused, 'Ask what this account may do', `it may not: ${denied.join(', ')}`, {
      next: `${kubectlArgv(place).join(' ')} auth can-i --list; the rights are in infra/k8s/cluster/deployer`,
    })
}

/** Jumps between versions that an application forbids, judged by what runs. */
async function hops(all: Manifest[], live: Manifest[], back: boolean, refusals: Refusals): Promise<void> {
  if (back) return
  const rules = (await fromFolders<{ hops: Hop[] }>('hops.ts')).flatMap(({ hops }) => hops)
  for (const one of workloads(all)) {
    const now = live.find(other => title(other) === title(one))
    if (now) refusals.add(...forbidden(rules, imagesOf([now]), imagesOf([one])).map(words => `${title(one)}: ${words}`))
  }
}

/** What the change would do, as the server says after all its checks; each refusal of its in words. */
async function dryRun(place: Place, all: Manifest[], refusals: Refusals): Promise<string> {
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
