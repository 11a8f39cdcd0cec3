// What images.ts does, verb by verb.
import { appendFileSync } from 'node:fs'
import { targets } from './bake.ts'
import { build, planBuild } from './build.ts'
import { Failure, exit } from './errors.ts'
import { namedByReleases } from './named.ts'
import { checkPins, pinFiles, writePins } from './pins-check.ts'
import { short, type Verdict } from './pins.ts'
import { refused, requireRight, thereAlready, upload, type Pushed } from './push.ts'
import { contentsOf, tagImage } from './registry-manifest.ts'
import { color, emit, result, say, step, table } from './report.ts'
import { removeVersion, tellsUntagged, versionsOf } from './stock-ask.ts'
import { newestFirst, surplus, type Version } from './stock.ts'
import type { Planned } from './tags.ts'
import { parseImage, registryOf } from './registry.ts'

const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`
const names = ({ name, tags }: Planned) => [name, tags.join(', ')]

/** build */
export async function builds(wanted: string[], dry: boolean): Promise<void> {
  const plan = await step('Plan', () => planBuild(wanted, 'build'))
  if (!dry) await step(`Build ${plan.images.map(({ target }) => target).join(', ')}`, () => build(plan))
  emit('result', { built: dry ? [] : plan.images, planned: plan.images })
  result(table([['target', 'image', 'tags'], ...plan.images.map(image => [image.target, ...names(image)])]))
}

/** push */
export async function pushes(wanted: string[], dry: boolean, replace: boolean): Promise<void> {
  const plan = await step('Plan', () => planBuild(wanted, 'push'))
  const there = await step('Ask the registry', async () => {
    for (const image of plan.images) await requireRight(image)
    return Promise.all(plan.images.map(image => (replace ? undefined : thereAlready(image))))
  })
  const fresh = plan.images.filter((_, i) => !there[i])
  for (const [i, { name, commit }] of plan.images.entries()) if (there[i]) say(`  ${name}:${commit.slice(0, 12)} is there: it is not built again`)
  emit('plan', { build: fresh, there: plan.images.filter((_, i) => there[i]) })
  if (dry) return result(table([['target', 'image', 'tags'], ...fresh.map(image => [image.target, ...names(image)])]))
  if (fresh.length) await step(`Build ${fresh.map(({ target }) => target).join(', ')}`, () => build({ ...plan, images: fresh }))
  const pushed: Pushed[] = []
  for (const [i, image] of plan.images.entries()) {
    const sent = there[i] ? { digest: there[i]!, uploaded: 'nothing' } : await step(`Push ${image.name}`, () => upload(image, plan))
    pushed.push({ ...image, ...sent, size: (await refused(`Read ${image.name}`, () => contentsOf(image.name, sent.digest))).size })
  }
  await step('Set the tags, read the digests back', () => tagAll(pushed))
  tellWorkflow(pushed)
  emit('result', { pushed })
  result(table([['target', 'tag', 'digest', 'size', 'uploaded'], ...pushed.map(one => [one.target, one.tags.join(', '), one.digest, megabytes(one.size), one.uploaded])]))
}

/** Branches and versions before what deploys use, and that for all images at last. */
async function tagAll(pushed: Pushed[]): Promise<void> {
  const all = pushed.flatMap(({ name, digest, tags, commit }) => tags.map(tag => ({ name, digest, tag, last: tag === commit })))
  for (const { name, digest, tag } of all.toSorted((a, b) => Number(a.last) - Number(b.last))) await refused(`Name ${name}:${tag}`, () => tagImage(name, digest, tag))
}

function tellWorkflow(pushed: Pushed[]): void {
  const file = process.env.GITHUB_OUTPUT
  const list = pushed.map(({ target, name, commit, digest }) => ({ target, name, tag: commit, digest }))
  if (file) appendFileSync(file, `images=${JSON.stringify(list)}\n`)
}

/** pins: 2 when one is not as its registry has it, 3 when a registry cannot be asked. */
export async function pins(write: boolean): Promise<number> {
  const files = pinFiles()
  const verdicts = await step('Ask the registries', () => checkPins(files))
  const changed = write ? writePins(files, verdicts) : []
  const places = ({ places }: Verdict) => `${places[0]!.file}:${places[0]!.line}${places.length > 1 ? ` and ${places.length - 1} more` : ''}`
  result(table([['image', 'state', '', 'where'], ...verdicts.map(one => [one.image, one.state, one.words, places(one)])]))
  for (const file of changed) say(`  written: ${file}`)
  const left = verdicts.filter(({ state }) => (write ? state === 'gone' : state !== 'good' && state !== 'unknown'))
  const unknown = verdicts.filter(({ state }) => state === 'unknown')
  emit('result', { pins: verdicts, changed })
  if (unknown.length)
    throw new Failure(exit.refused, 'Check the pinned images', `${unknown.length} of ${verdicts.length} could not be checked`, {
      evidence: [...new Set(unknown.map(({ words }) => words))].join('\n'),
      next: 'npx zx scripts/images.ts pins   (where the registries can be reached)',
    })
  if (!left.length) return say(color.green(`${verdicts.length} images are as their registries have them.`)), exit.done
  const next = left.some(({ state }) => state !== 'gone') ? 'npx zx scripts/images.ts pins --write' : 'choose another tag, in all places of it'
  throw new Failure(exit.usage, 'Check the pinned images', left.map(({ image, state }) => `${image}: ${state}`).join('; '), { next })
}

/** list, and list --prune */
export async function lists({ prune, commits, keep, dry }: { prune: boolean; commits: boolean; keep: number; dry: boolean }): Promise<void> {
  const images = [...new Set((await targets()).map(({ image }) => parseImage(image).name.toLowerCase()))]
  const what = `Ask ${[...new Set(images.map(registryOf))].join(', ')}`
  const versions = await step(what, async () => (await Promise.all(images.map(image => refused(what, () => versionsOf(image))))).flat())
  const named = await step('Read the releases', () => namedByReleases(images))
  for (const { environment, why } of named.unread) say(color.yellow(`  ${environment}: its releases cannot be read (${why})`))
  const digests = new Set(named.by.keys())
  const going = prune ? images.flatMap(image => surplus(versions.filter(one => one.image === image), { newest: keep, named: digests, commits })) : []
  emit('result', { versions: versions.map(one => ({ ...one, releases: named.by.get(one.digest) ?? [] })), removed: going.map(({ image, digest }) => ({ image, digest })) })
  const row = (one: Version) => [
    one.image,
    one.tags.join(', ') || '(none)',
    short(one.digest),
    megabytes(one.size),
    age(one.created),
    one.children.reduce((all, child) => [...all, ...(named.by.get(child) ?? [])], named.by.get(one.digest) ?? []).join(', ') || (named.unread.length ? '?' : ''),
    going.includes(one) ? 'goes' : '',
  ]
  result(table([['image', 'tags', 'digest', 'size', 'age', 'releases', ''], ...newestFirst(versions).map(row)]))
  if (!prune) return
  if (named.unread.length)
    throw new Failure(exit.refused, 'Remove old images', `the releases of ${named.unread.map(({ environment }) => environment).join(', ')} cannot be read`, {
      evidence: named.unread.map(({ environment, why }) => `${environment}: ${why}`).join('\n'),
      next: 'npx zx scripts/images.ts list --prune   (where all clusters can be reached)',
    })
  if (!commits && !images.some(tellsUntagged)) say('  this registry lists no versions without a tag: --commits also removes those that only their commit names')
  if (!going.length || dry) return say(going.length ? `  ${going.length} would be removed` : '  nothing to remove')
  await step(`Remove ${going.length} versions`, async () => {
    for (const one of going) await refused(`Remove ${one.image}@${short(one.digest)}`, () => removeVersion(one))
  })
}

function age(created: string): string {
  const hours = (Date.now() - Date.parse(created)) / 3_600_000
  return Number.isNaN(hours) ? '?' : hours < 48 ? `${Math.floor(hours)} h` : `${Math.floor(hours / 24)} d`
}
