// Builds images by `docker buildx bake`, with their tags and labels.
import {
  bake,
  builderOf,
  chosen,
  refusedOf,
  settings,
  targets,
  type Builder,
  type Overrides,
  type Target,
} from './bake.ts'
import { explained } from './build-failure.ts'
import { pinsOf } from './chosen-commit.ts'
import { Failure, exit } from '../errors.ts'
import { requireOwner } from './owner.ts'
import { say } from '../report.ts'
import { root } from '../repository.ts'
import { refOf, sourceOf, type Ref } from './source.ts'
import { asPushed, ofRun, planOf, requireDistinct, type Planned } from './tags.ts'

export interface Plan {
  images: Planned[]
  builder: Builder
  env: Record<string, string>
}

/**
 * What a target's image will be called. Throws Failure (refused) when its source is no commit, or not the one that its tag names;
 * unless `changed`, when it has changes, too: the image would not be what its commit says.
 */
export async function planImage(target: Target, ref: Ref, changed = false): Promise<Planned> {
  const source = await sourceOf(target.context)
  const files = source?.changed.slice(0, 5).join(', ')
  const no = (why: string, next: string) =>
    new Failure(exit.refused, `Look at the source of ${target.name}`, why, { next })
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
      `  ${target.name}: the history is cut off, so it counts as changed by the newest commit (fetch-depth: 0 mends that)`,
    )
  return planOf(target, source, ref, pinsOf([target.image])[0])
}

/** What to build and what it will be called. */
export async function planBuild(names: string[], command: 'build' | 'push'): Promise<Plan> {
  const env = settings()
  const [all, ref, builder] = await Promise.all([targets(env), refOf(root), builderOf()])
  const built = await allowed(chosen(all, names, command), names.length > 0)
  if (command === 'push')
    requireOwner(
      'Push the images',
      built.map(({ image }) => image),
    )
  const planned = await Promise.all(
    built.map(target => planImage(target, ref, command === 'build')),
  )
  const images = command === 'push' ? planned.map(asPushed).map(image => ofRun(image)) : planned
  for (const { target, fileTag, tags } of images)
    if (fileTag && !tags.includes(fileTag))
      say(
        `  ${target}: the tag ${fileTag} stays where it is: it is set from main and from versions alone`,
      )
  requireDistinct(images)
  const without =
    'this builder cannot put SBOM and provenance into images (docker buildx create --use makes one that can)'
  if (command === 'push')
    say(
      `  ${builder.attests ? `with provenance${env.KGC_SBOM === 'false' ? '' : ' and SBOM'}` : without}`,
    )
  return { images, env, builder: { ...builder, attests: builder.attests && command === 'push' } }
}

/** Those whose source may be built. Throws Failure (refused) for one that must not be and was `named`; otherwise says so and leaves it out. */
async function allowed(targets: Target[], named: boolean): Promise<Target[]> {
  const judged = await Promise.all(
    targets.map(async target => ({
      target,
      refused: refusedOf(target.name),
      commit: (await sourceOf(target.context))?.commit,
    })),
  )
  return judged.flatMap(({ target, refused, commit }) => {
    if (!refused || refused.commit !== commit) return [target]
    if (named)
      throw new Failure(
        exit.refused,
        `Look at the source of ${target.name}`,
        `${commit.slice(0, 12)} is not built: ${refused.because}`,
        { next: refused.next },
      )
    say(`  ${target.name}: left out: ${refused.because}; ${refused.next}`)
    return []
  })
}

/** What the builder is told of an image. */
export function overrides(image: Planned, { builder, env }: Plan): Overrides {
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

/** Builds all of them, or throws Failure with the builder's first error. What the engine builds is then among its images. */
export async function build(plan: Plan): Promise<void> {
  const keep = plan.builder.engine ? { output: 'type=docker' } : { output: 'type=cacheonly' }
  const names = Object.fromEntries(
    plan.images.map(image => [image.target, { ...overrides(image, plan), ...keep }]),
  )
  if (!plan.images.length) return
  const { code, stderr, stdout } = await bake(names, plan.env)
  if (code === 0) return
  throw await explained(plan.images, `${stdout}\n${stderr}`.trim())
}
