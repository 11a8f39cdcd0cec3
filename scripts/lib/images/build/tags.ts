// Which tags and labels an image gets. Pure.
import type { BuildTarget } from './targets.ts'
import { Failure, exit } from '../../errors.ts'
import { parseImage } from '../reference.ts'
import { schemaLabel } from './schema-version.ts'
import type { GitRef, ImageSource } from './source.ts'

/** An image to build. */
export interface PlannedImage {
  target: string
  /** Lower-case, without a tag. */
  name: string
  /** The full commit. */
  commit: string
  /** All its tags, those that deploys use last. */
  tags: string[]
  labels: Record<string, string>
  /** The tag that the file gives it; '' when it gives none. */
  fileTag: string
  /**
   * Whether it is built from main or a version: a push from elsewhere changes nothing that every
   * environment names.
   */
  leads: boolean
}

/** The label with the target's recipe: what a commit's image in the registry was built by. */
export const recipeLabel = 'hu.kgc.recipe'

/** The label with the workflow's run that built an image. */
export const runLabel = 'hu.kgc.run'

/** The image as a workflow's run builds it; elsewhere as it is. */
export function withRunLabel(
  image: PlannedImage,
  { GITHUB_RUN_ID: id }: NodeJS.ProcessEnv = process.env,
): PlannedImage {
  return id ? { ...image, labels: { ...image.labels, [runLabel]: id } } : image
}

/**
 * Whether an image of these labels was built by an earlier attempt of this run: the first attempt
 * finds none of its own.
 */
export const isBuiltByThisRun = (
  labels: Record<string, string>,
  { GITHUB_RUN_ID: id, GITHUB_RUN_ATTEMPT: attempt }: NodeJS.ProcessEnv = process.env,
): boolean => Boolean(id) && Number(attempt) > 1 && labels[runLabel] === id

const commitTag = /^[0-9a-f]{40}$/

/** The tag of a branch (`feature/x` is `feature-x`) or of a version (`v1.2.3` is `1.2.3`). */
export function tagForRef({ type, name }: GitRef): string | undefined {
  if (type === 'tag') return /^v?(\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?)$/.exec(name)?.[1]
  const tag = name
    .replace(/[^\w.-]+/g, '-')
    .replace(/^[.-]+/, '')
    .slice(0, 128)
  return tag && !commitTag.test(tag) ? tag : undefined
}

/**
 * What a target's image is called; `pin` is where its commit is chosen, if it is. Throws Failure
 * when its source is not the commit that its tag names.
 */
export function planImageTags(
  target: BuildTarget,
  source: ImageSource,
  ref: GitRef,
  pin?: { key: string; file: string },
): PlannedImage {
  const { tag = '' } = parseImage(target.image)
  const { commit, created, url } = source
  const what = `Name the image of ${target.name}`
  if (tag === 'unset')
    throw new Failure(exit.refused, what, 'no commit is chosen for it', {
      next: pin && `${pin.key}=${commit}   (in ${pin.file})`,
    })
  if (commitTag.test(tag) && tag !== commit)
    throw new Failure(
      exit.refused,
      what,
      `its tag is ${tag.slice(0, 12)}, its source is at ${commit.slice(0, 12)}`,
      {
        next: `git -C ${target.context} checkout ${tag}`,
      },
    )
  const own = tagForRef(ref)
  const version = ref.type === 'tag' ? own : undefined
  const labels = { source: url, revision: commit, version: version ?? (tag || commit), created }
  const titled = Object.entries(labels).flatMap(([key, value]) =>
    value ? [[`org.opencontainers.image.${key}`, value]] : [],
  )
  return {
    target: target.name,
    name: parseImage(target.image).name.toLowerCase(),
    commit,
    tags: [...new Set([own ?? '', tag, commit].filter(Boolean))],
    labels: {
      ...Object.fromEntries(titled),
      [recipeLabel]: target.recipe,
      ...(target.schema ? { [schemaLabel]: target.schema } : {}),
    },
    fileTag: tag,
    leads: ref.type === 'branch' ? ref.name === 'main' : own !== undefined,
  }
}

/**
 * The same as it is pushed: from elsewhere than main or a version the file's own tag is not set.
 */
export const withPushTags = (image: PlannedImage): PlannedImage =>
  image.leads
    ? image
    : { ...image, tags: image.tags.filter(tag => tag !== image.fileTag || tag === image.commit) }

/** Throws Failure when two images would get one name. */
export function requireDistinctTags(all: PlannedImage[]): void {
  const names = all.flatMap(({ name, tags }) => tags.map(tag => `${name}:${tag}`))
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  if (!twice) return
  const both = all
    .filter(({ name, tags }) => tags.some(tag => `${name}:${tag}` === twice))
    .map(({ target }) => target)
  throw new Failure(exit.usage, 'Name the images', `${both.join(' and ')} would both be ${twice}`, {
    next: 'name one of them, or give them different names in the file',
  })
}
