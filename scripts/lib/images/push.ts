// Sends images to their registry: all layers first, then the names that deploys use.
import { bake } from './bake.ts'
import { overrides, type Plan } from './build.ts'
import { Failure, exit } from '../errors.ts'
import { brief, patiently } from './patience.ts'
import { RegistryError } from './registry-answer.ts'
import { dockerLogin, loginOf } from './registry-login.ts'
import { contentsOf, ifMissing } from './registry-manifest.ts'
import { ask, digestIfThere, parseImage } from './registry.ts'
import { say } from '../report.ts'
import { run, type Output } from '../run.ts'
import { isOwn, recipeLabel, type Planned } from './tags.ts'

export interface Pushed extends Planned {
  digest: string
  /** By this run, now or in an earlier attempt: then it may sign it. */
  built: boolean
  /** Bytes in the registry. */
  size: number
  /** What had to be sent. */
  uploaded: string
}

/** The tag under which an image arrives; each arrival takes it over from the one before. */
const arrival = 'incoming'

/** Throws Failure (refused) when this login may not push an image of this name; an upload is begun and given up. */
export async function requireRight({ name }: Planned): Promise<void> {
  const { host } = parseImage(name)
  const what = `Ask whether ${name} may be pushed`
  await refused(what, () => patiently(what, () => trial(name), brief))
  if ((await loginOf(host)) && !(await dockerLogin(host)))
    throw new Failure(exit.refused, what, `Docker itself has no login for ${host}`, {
      next: `docker login ${host} --username … --password-stdin`,
    })
}

/** Begins an upload, with a few bytes where they are given, and gives it up. Throws the registry's no, in words that Docker leaves out. */
async function trial(name: string, body?: string): Promise<void> {
  const { host, repository } = parseImage(name)
  const answer = await ask(host, `${repository}/blobs/uploads/`, { method: 'POST' })
  const upload = new URL(answer.headers.get('location') ?? '', answer.url)
  if (upload.host !== new URL(answer.url).host) return
  try {
    if (body)
      await ask(host, upload.href, {
        method: 'PATCH',
        headers: { 'content-type': 'application/octet-stream' },
        body,
      })
  } finally {
    await ask(host, upload.href, { method: 'DELETE' }).catch(() => undefined)
  }
}

/** A registry's no as a refusal that says what to do. */
export async function refused<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof RegistryError)
      throw new Failure(exit.refused, what, error.message, { next: nextOf(error) })
    throw error
  }
}

function nextOf({ message, status }: RegistryError): string {
  if (status === 401 || status === 403)
    return `a token with ${/(\w+:packages)/.exec(message)?.[1] ?? 'more rights'}, then docker login --password-stdin`
  if (status === 507 || /no space/.test(message))
    return "make room on the registry's disk, then the same command: what has arrived is not sent again"
  return 'the same command again: what has arrived is not sent again'
}

/** A commit's image that is in the registry; `own`: an earlier attempt of this workflow's run has built it. */
export interface There {
  digest: string
  own: boolean
}

/** The image that a commit has already; undefined when it is to be built: it was never pushed, or the build file has changed since. */
export async function thereAlready({
  name,
  commit,
  labels,
  leads,
}: Planned): Promise<There | undefined> {
  const digest = await refused(`Look for ${name}`, () =>
    patiently(name, () => digestIfThere(`${name}:${commit}`), brief),
  )
  if (!digest) return undefined
  const found = await refused(`Read ${name}`, () => contentsOf(name, digest).catch(ifMissing))
  const there = { digest, own: isOwn(found?.labels ?? {}) }
  if (found?.labels[recipeLabel] === labels[recipeLabel]) return there
  const then = leads ? 'it is built again' : 'main, a version or --replace builds it again'
  say(
    `  ${name}:${commit.slice(0, 12)} is there, but was not built as docker-compose.build.yml now says: ${then}`,
  )
  return leads ? undefined : there
}

/** Sends what was built. Out: its digest, and how much was sent. No name that deploys use is touched. */
export async function upload(
  image: Planned,
  plan: Plan,
): Promise<{ digest: string; uploaded: string }> {
  const what = `Push ${image.name}`
  return refused(what, () =>
    patiently(what, () =>
      plan.builder.engine ? fromEngine(image, plan) : fromBuilder(image, plan),
    ),
  )
}

async function fromEngine(
  { name, commit }: Planned,
  { builder }: Plan,
): Promise<{ digest: string; uploaded: string }> {
  const here = `${name}:${arrival}`
  await run(['docker', 'tag', `${name}:${commit}`, here], { what: `Push ${name}` })
  try {
    const output = await run(['docker', 'push', here], { nothrow: true })
    const digest = /^\S+: digest: (sha256:[0-9a-f]{64})/m.exec(output.stdout)?.[1]
    if (!digest) {
      const why = await trial(name, ' '.repeat(1_000_000)).catch(error => error as RegistryError)
      throw why && /no space/.test(why.message)
        ? new RegistryError(why.message, 507)
        : complaint(name, output)
    }
    return {
      digest,
      uploaded: uploadOf(
        output.stdout,
        builder.attests ? (await contentsOf(name, digest)).layers : [],
      ),
    }
  } finally {
    await run(['docker', 'image', 'rm', '--no-prune', here], { nothrow: true })
  }
}

/** How much Docker says that it sent. `layers`: the digests of an image's layers; what else was sent with it (attestations) is none. */
export function uploadOf(text: string, layers: string[]): string {
  const all = [...text.matchAll(/^(\w+): (?:(Pushed|Mounted from .*)|Layer already exists)$/gm)]
  const own = all.filter(([, id]) => layers.some(digest => digest.startsWith(`sha256:${id}`)))
  const counted = own.length ? own : all
  const sent = counted.filter(([, , how]) => how).length
  return sent ? `${sent} of ${counted.length} layers` : 'nothing'
}

async function fromBuilder(
  image: Planned,
  plan: Plan,
): Promise<{ digest: string; uploaded: string }> {
  const onward = {
    ...overrides(image, plan),
    tags: `${image.name}:${arrival}`,
    output: 'type=image,push=true',
  }
  const done = await bake({ [image.target]: onward }, plan.env)
  const digest = done.metadata[image.target]?.['containerimage.digest']
  if (!digest) throw complaint(image.name, done)
  return { digest, uploaded: 'by the builder' }
}

/** What Docker says of a push that failed, as the registry's no that it is. */
export function complaint(
  name: string,
  { stdout, stderr }: Pick<Output, 'stdout' | 'stderr'>,
): RegistryError {
  const { host } = parseImage(name)
  const text = `${stdout}\n${stderr}`
  const last = stderr.trim().split('\n').at(-1) || stdout.trim().split('\n').at(-1) || 'it failed'
  if (/no space left|\b507\b|insufficient storage/i.test(text))
    return new RegistryError(`no space left: ${last}`, 507)
  if (
    /unauthorized|denied|insufficient_scope|no basic auth|authentication required|\b40[13]\b/i.test(
      text,
    )
  )
    return new RegistryError(`${host} denies it: the login lacks write:packages (${last})`, 403)
  if (/toomanyrequests|\b429\b/i.test(text))
    return new RegistryError(`${host} has had too many requests (429)`, 429)
  // Docker has tried each layer five times by then, for 50 seconds
  if (/Retrying in/.test(text))
    return new RegistryError(
      `${last}; Docker has tried five times: see the log and the disk of ${host}`,
      400,
    )
  const passing =
    /\b5\d\d\b|refused|reset|broken pipe|\bEOF\b|time-?out|no such host|misbehaving|unreachable|unavailable|cancell?ed/i
  return new RegistryError(last, passing.test(text) ? 0 : 400)
}
