// `images.ts build` and `push`.
import { appendFileSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { readImageVariable } from './build/targets.ts'
import { buildImages, planBuild } from './build/build.ts'
import { requirePushPermission, findExistingImage, uploadImage, type PushedImage } from './push.ts'
import { readImageContents, tagImage } from './registry/manifests.ts'
import { asRegistryFailure } from './registry/refusals.ts'
import { addSummaryFacts } from '../job-summary.ts'
import { emit, formatMegabytes, printResult, say, step, table } from '../report.ts'
import { dockerFolder, listApplications } from '../repository.ts'
import type { PlannedImage } from './build/tags.ts'

const imageCells = ({ name, tags }: PlannedImage) => [name, tags.join(', ')]

/** Builds targets, or says what it would build. */
export async function runBuildCommand(wanted: string[], dry: boolean): Promise<void> {
  addSummaryFacts({}, dry ? 'Images to build' : 'Build the images')
  const plan = await step('Plan', () => planBuild(wanted, 'build'))
  if (!dry)
    await step(`Build ${plan.images.map(({ target }) => target).join(', ')}`, () =>
      buildImages(plan),
    )
  emit('result', { built: dry ? [] : plan.images, planned: plan.images })
  printResult(
    table([
      ['target', 'image', 'tags'],
      ...plan.images.map(image => [image.target, ...imageCells(image)]),
    ]),
  )
  for (const line of plan.images.flatMap(describeUse)) say(line)
}

/** How a built image takes the place of the released one. */
function describeUse({ target, name, tags, fileTag }: PlannedImage): string[] {
  const variable = readImageVariable(target)
  const folder = listApplications().find(application =>
    readFileSync(join(dockerFolder, application, '.env.example'), 'utf8').includes(`${variable}=`),
  )
  if (!variable || !folder) return []
  const image = `${name}:${fileTag || tags[0]}`
  return [
    `  ${target}: ${variable}=${image} in infra/docker/${folder}/.env runs it; ${variable}= runs the released image again`,
  ]
}

/**
 * Builds what the registry does not have, pushes it, names it at last, and reads every digest back.
 */
export async function runPushCommand(
  wanted: string[],
  dry: boolean,
  replace: boolean,
): Promise<void> {
  addSummaryFacts({}, dry ? 'Images to push' : 'Push the images')
  const plan = await step('Plan', () => planBuild(wanted, 'push'))
  const there = await step('Ask the registry', async () => {
    for (const image of plan.images) await requirePushPermission(image)
    return Promise.all(plan.images.map(image => (replace ? undefined : findExistingImage(image))))
  })
  const fresh = plan.images.filter((_, i) => !there[i])
  for (const [i, { name, commit }] of plan.images.entries())
    if (there[i])
      say(
        `  ${name}:${commit.slice(0, 12)} is there${there[i].own ? ', from an earlier attempt of this run' : ''}: it is not built again`,
      )
  emit('plan', { build: fresh, there: plan.images.filter((_, i) => there[i]) })
  if (dry)
    return printResult(
      table([
        ['target', 'image', 'tags'],
        ...fresh.map(image => [image.target, ...imageCells(image)]),
      ]),
    )
  if (fresh.length)
    await step(`Build ${fresh.map(({ target }) => target).join(', ')}`, () =>
      buildImages({ ...plan, images: fresh }),
    )
  const pushed: PushedImage[] = []
  for (const [i, image] of plan.images.entries()) {
    const sent = there[i]
      ? { digest: there[i].digest, uploaded: 'nothing' }
      : await step(`Push ${image.name}`, () => uploadImage(image, plan))
    pushed.push({
      ...image,
      ...sent,
      built: there[i]?.own ?? true,
      size: (
        await asRegistryFailure(`Read ${image.name}`, () =>
          readImageContents(image.name, sent.digest),
        )
      ).size,
    })
  }
  await step('Set the tags, read the digests back', () => tagPushedImages(pushed))
  writeWorkflowOutput(pushed)
  emit('result', { pushed })
  addSummaryFacts({
    Built: fresh.map(({ target }) => target).join(', ') || 'none: all were there',
    'There already': plan.images
      .filter((_, i) => there[i])
      .map(({ target }) => target)
      .join(', '),
  })
  const rows = pushed.map(({ target, tags, digest, size, uploaded }) => [
    target,
    tags.join(', '),
    digest,
    formatMegabytes(size),
    uploaded,
  ])
  printResult(table([['target', 'tag', 'digest', 'size', 'uploaded'], ...rows]))
}

/** Branches and versions before what deploys use, and that for all images at last. */
async function tagPushedImages(pushed: PushedImage[]): Promise<void> {
  const all = pushed.flatMap(({ name, digest, tags, commit }) =>
    tags.map(tag => ({ name, digest, tag, last: tag === commit })),
  )
  for (const { name, digest, tag } of all.toSorted((a, b) => Number(a.last) - Number(b.last)))
    await asRegistryFailure(`Name ${name}:${tag}`, () => tagImage(name, digest, tag))
}

function writeWorkflowOutput(pushed: PushedImage[]): void {
  const file = process.env.GITHUB_OUTPUT
  const list = pushed.map(({ target, name, commit, digest, built }) => ({
    target,
    name,
    tag: commit,
    digest,
    built,
  }))
  if (file) appendFileSync(file, `images=${JSON.stringify(list)}\n`)
}
