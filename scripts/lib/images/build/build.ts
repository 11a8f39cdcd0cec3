// Builds images by `docker buildx bake`, with their tags and labels.
import { bake, inspectBuilder, type Builder, type TargetOverrides } from './bake.ts'
import {
  listBuildTargets,
  readBuildVariables,
  readRefusedSource,
  selectTargets,
  type BuildTarget,
} from './targets.ts'
import { explainBuildFailure } from './failure.ts'
import { findCommitPins } from '../pinned-commits.ts'
import { Failure, exit } from '../../errors.ts'
import { requireOwner } from '../owner.ts'
import { say } from '../../report.ts'
import { root } from '../../repository.ts'
import { readGitRef, readImageSource, type GitRef } from './source.ts'
import {
  withPushTags,
  withRunLabel,
  planImageTags,
  requireDistinctTags,
  type PlannedImage,
} from './tags.ts'

export interface BuildPlan {
  images: PlannedImage[]
  builder: Builder
  env: Record<string, string>
}

/**
 * What a target's image will be called. Throws Failure (refused) when its source is no commit, or
 * not the one that its tag names; unless `changed`, when it has changes, too: the image would not
 * be what its commit says.
 */
export async function planImage(
  target: BuildTarget,
  ref: GitRef,
  changed = false,
): Promise<PlannedImage> {
  const source = await readImageSource(target.context)
  const files = source?.changed.slice(0, 5).join(', ')
  const no = (why: string, next: string) =>
    new Failure(exit.refused, `Check the source of ${target.name}`, why, { next })
  if (!source)
    throw no(
      'it is in no git repository: its image would name no commit',
      `git clone … ${target.context}`,
    )
  if (files && !changed)
    throw no(`it has changes that are in no commit: ${files}`, `git -C ${target.context} status`)
  if (files) say(`  ${target.name}: with changes that are in no commit: ${files}`)
  if (source.shallow)
    say(
      `  ${target.name}: the history is cut off, so it counts as changed by the newest commit (fetch-depth: 0 avoids that)`,
    )
  return planImageTags(target, source, ref, findCommitPins([target.image])[0])
}

/** What to build and what it will be called. */
export async function planBuild(names: string[], command: 'build' | 'push'): Promise<BuildPlan> {
  const env = readBuildVariables()
  const [all, ref, builder] = await Promise.all([
    listBuildTargets(env),
    readGitRef(root),
    inspectBuilder(),
  ])
  const built = await excludeRefusedSources(selectTargets(all, names, command), names.length > 0)
  if (command === 'push')
    requireOwner(
      'Push the images',
      built.map(({ image }) => image),
    )
  const planned = await Promise.all(
    built.map(target => planImage(target, ref, command === 'build')),
  )
  const images =
    command === 'push' ? planned.map(withPushTags).map(image => withRunLabel(image)) : planned
  for (const { target, fileTag, tags } of images)
    if (fileTag && !tags.includes(fileTag))
      say(`  ${target}: the tag ${fileTag} is not moved: only main and versions set it`)
  requireDistinctTags(images)
  const without =
    'this builder cannot put SBOM and provenance into images (docker buildx create --use makes one that can)'
  if (command === 'push')
    say(
      `  ${builder.attests ? `with provenance${env.KGC_SBOM === 'false' ? '' : ' and SBOM'}` : without}`,
    )
  return { images, env, builder: { ...builder, attests: builder.attests && command === 'push' } }
}

/**
 * Those whose source may be built. Throws Failure (refused) for one that must not be and was
 * `named`; otherwise says so and leaves it out.
 */
async function excludeRefusedSources(
  targets: BuildTarget[],
  named: boolean,
): Promise<BuildTarget[]> {
  const judged = await Promise.all(
    targets.map(async target => ({
      target,
      refused: readRefusedSource(target.name),
      commit: (await readImageSource(target.context))?.commit,
    })),
  )
  return judged.flatMap(({ target, refused, commit }) => {
    if (!refused || refused.commit !== commit) return [target]
    if (named)
      throw new Failure(
        exit.refused,
        `Check the source of ${target.name}`,
        `${commit.slice(0, 12)} is not built: ${refused.because}`,
        { next: refused.next },
      )
    say(`  ${target.name}: left out: ${refused.because}; ${refused.next}`)
    return []
  })
}

/** What the builder is told of an image. */
export function createOverrides(image: PlannedImage, { builder, env }: BuildPlan): TargetOverrides {
  const labels = Object.entries(image.labels).map(([key, value]) => [`labels.${key}`, value])
  const epoch = Date.parse(image.labels['org.opencontainers.image.created']!) / 1000
  const sbom = env.KGC_SBOM === 'false' ? [] : ['type=sbom']
  return {
    tags: image.tags.map(tag => `${image.name}:${tag}`),
    ...Object.fromEntries(labels),
    'args.SOURCE_DATE_EPOCH': String(epoch),
    ...(builder.attests ? { attest: ['type=provenance,mode=max', ...sbom] } : {}),
  }
}

/**
 * Builds all of them, or throws Failure with the builder's first error. What the engine builds is
 * then among its images.
 */
export async function buildImages(plan: BuildPlan): Promise<void> {
  const keep = plan.builder.usesEngineStore
    ? { output: 'type=docker' }
    : { output: 'type=cacheonly' }
  const names = Object.fromEntries(
    plan.images.map(image => [image.target, { ...createOverrides(image, plan), ...keep }]),
  )
  if (!plan.images.length) return
  const { code, stderr, stdout } = await bake(names, plan.env)
  if (code === 0) return
  throw await explainBuildFailure(plan.images, `${stdout}\n${stderr}`.trim())
}
