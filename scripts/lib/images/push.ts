// Sends images to their registry: all layers first, then the names that deploys use.
import { bake } from './build/bake.ts'
import { createOverrides, type BuildPlan } from './build/build.ts'
import { Failure, exit } from '../errors.ts'
import { briefRetryDelaysSeconds, retryRegistry } from './registry/retry.ts'
import { RegistryError } from './registry/errors.ts'
import { asRegistryFailure, parsePushError } from './registry/refusals.ts'
import { readDockerLogin, findRegistryLogin } from './registry/auth.ts'
import { readImageContents, ignoreNotFound } from './registry/manifests.ts'
import { parseImage } from './reference.ts'
import { callRegistry, findImageDigest } from './registry/client.ts'
import { say } from '../report.ts'
import { run } from '../run.ts'
import { isBuiltByThisRun, recipeLabel, type PlannedImage } from './build/tags.ts'

export interface PushedImage extends PlannedImage {
  digest: string
  /** By this run, now or in an earlier attempt: then it may sign it. */
  built: boolean
  /** Bytes in the registry. */
  size: number
  /** What had to be sent. */
  uploaded: string
}

/** The tag under which an image arrives; each arrival takes it over from the one before. */
const incomingTag = 'incoming'

/**
 * Throws Failure (refused) when this login may not push an image of this name; an upload is begun
 * and given up.
 */
export async function requirePushPermission({ name }: PlannedImage): Promise<void> {
  const { host } = parseImage(name)
  const what = `Ask whether ${name} may be pushed`
  await asRegistryFailure(what, () =>
    retryRegistry(what, () => tryUpload(name), briefRetryDelaysSeconds),
  )
  if ((await findRegistryLogin(host)) && !(await readDockerLogin(host)))
    throw new Failure(exit.refused, what, `Docker itself has no login for ${host}`, {
      next: `docker login ${host} --username … --password-stdin`,
    })
}

/**
 * Begins an upload, with a few bytes where they are given, and gives it up. Throws the registry's
 * no, in words that Docker leaves out.
 */
async function tryUpload(name: string, body?: string): Promise<void> {
  const { host, repository } = parseImage(name)
  const answer = await callRegistry(host, `${repository}/blobs/uploads/`, { method: 'POST' })
  const upload = new URL(answer.headers.get('location') ?? '', answer.url)
  if (upload.host !== new URL(answer.url).host) return
  try {
    if (body)
      await callRegistry(host, upload.href, {
        method: 'PATCH',
        headers: { 'content-type': 'application/octet-stream' },
        body,
      })
  } finally {
    await callRegistry(host, upload.href, { method: 'DELETE' }).catch(() => undefined)
  }
}

/**
 * A commit's image that is in the registry; `own`: an earlier attempt of this workflow's run has
 * built it.
 */
export interface ExistingImage {
  digest: string
  own: boolean
}

/**
 * The image that a commit has already; undefined when it is to be built: it was never pushed, or
 * the build file has changed since.
 */
export async function findExistingImage({
  name,
  commit,
  labels,
  leads,
}: PlannedImage): Promise<ExistingImage | undefined> {
  const digest = await asRegistryFailure(`Look for ${name}`, () =>
    retryRegistry(name, () => findImageDigest(`${name}:${commit}`), briefRetryDelaysSeconds),
  )
  if (!digest) return undefined
  const found = await asRegistryFailure(`Read ${name}`, () =>
    readImageContents(name, digest).catch(ignoreNotFound),
  )
  const there = { digest, own: isBuiltByThisRun(found?.labels ?? {}) }
  if (found?.labels[recipeLabel] === labels[recipeLabel]) return there
  const then = leads ? 'it is built again' : 'main, a version or --replace builds it again'
  say(
    `  ${name}:${commit.slice(0, 12)} is there, but was not built as docker-compose.build.yml now says: ${then}`,
  )
  return leads ? undefined : there
}

/**
 * Sends what was built. Out: its digest, and how much was sent. No name that deploys use is
 * touched.
 */
export async function uploadImage(
  image: PlannedImage,
  plan: BuildPlan,
): Promise<{ digest: string; uploaded: string }> {
  const what = `Push ${image.name}`
  return asRegistryFailure(what, () =>
    retryRegistry(what, () =>
      plan.builder.usesEngineStore ? pushFromEngine(image, plan) : pushFromBuilder(image, plan),
    ),
  )
}

async function pushFromEngine(
  { name, commit }: PlannedImage,
  { builder }: BuildPlan,
): Promise<{ digest: string; uploaded: string }> {
  const here = `${name}:${incomingTag}`
  await run(['docker', 'tag', `${name}:${commit}`, here], { what: `Push ${name}` })
  try {
    const output = await run(['docker', 'push', here], { nothrow: true })
    const digest = /^\S+: digest: (sha256:[0-9a-f]{64})/m.exec(output.stdout)?.[1]
    if (!digest) {
      const why = await tryUpload(name, ' '.repeat(1_000_000)).catch(
        error => error as RegistryError,
      )
      throw why && /no space/.test(why.message)
        ? new RegistryError(why.message, 507)
        : parsePushError(name, output)
    }
    return {
      digest,
      uploaded: describeUpload(
        output.stdout,
        builder.attests ? (await readImageContents(name, digest)).layers : [],
      ),
    }
  } finally {
    await run(['docker', 'image', 'rm', '--no-prune', here], { nothrow: true })
  }
}

/**
 * How much Docker says that it sent. `layers`: the digests of an image's layers; what else was sent
 * with it (attestations) is none.
 */
export function describeUpload(text: string, layers: string[]): string {
  const all = [...text.matchAll(/^(\w+): (?:(Pushed|Mounted from .*)|Layer already exists)$/gm)]
  const own = all.filter(([, id]) => layers.some(digest => digest.startsWith(`sha256:${id}`)))
  const counted = own.length ? own : all
  const sent = counted.filter(([, , how]) => how).length
  return sent ? `${sent} of ${counted.length} layers` : 'nothing'
}

async function pushFromBuilder(
  image: PlannedImage,
  plan: BuildPlan,
): Promise<{ digest: string; uploaded: string }> {
  const onward = {
    ...createOverrides(image, plan),
    tags: `${image.name}:${incomingTag}`,
    output: 'type=image,push=true',
  }
  const done = await bake({ [image.target]: onward }, plan.env)
  const digest = done.metadata[image.target]?.['containerimage.digest']
  if (!digest) throw parsePushError(image.name, done)
  return { digest, uploaded: 'by the builder' }
}
