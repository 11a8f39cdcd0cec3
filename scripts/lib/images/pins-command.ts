// `images.ts pins`: whether the images that the YAML pins match their registries.
import { Failure, exit } from '../errors.ts'
import { checkPins, readPinFiles, writePins } from './pins-check.ts'
import type { CheckedPin } from './pins.ts'
import { addSummaryFacts } from '../job-summary.ts'
import { color, emit, printResult, say, step, table } from '../report.ts'

/**
 * Says it, and with `write` corrects what it can. Throws Failure: usage when a pin is wrong, refused
 * when a registry cannot be asked.
 */
export async function runPinsCommand(write: boolean): Promise<void> {
  addSummaryFacts({}, 'Check the pinned images')
  const files = readPinFiles()
  const verdicts = await step('Ask the registries', () => checkPins(files))
  const changed = write ? writePins(files, verdicts) : []
  const places = ({ places }: CheckedPin) =>
    `${places[0]!.file}:${places[0]!.line}${places.length > 1 ? ` and ${places.length - 1} more` : ''}`
  printResult(
    table([
      ['image', 'state', '', 'where'],
      ...verdicts.map(one => [one.image, one.state, one.words, places(one)]),
    ]),
  )
  for (const file of changed) say(`  written: ${file}`)
  const left = verdicts.filter(({ state }) =>
    write ? state === 'gone' : state !== 'good' && state !== 'unknown',
  )
  const unknown = verdicts.filter(({ state }) => state === 'unknown')
  emit('result', { pins: verdicts, changed })
  if (unknown.length)
    throw new Failure(
      exit.refused,
      'Check the pinned images',
      `${unknown.length} of ${verdicts.length} could not be checked`,
      {
        evidence: [...new Set(unknown.map(({ words }) => words))].join('\n'),
        next: 'npx zx scripts/images.ts pins   (where the registries can be reached)',
      },
    )
  if (!left.length) return say(color.green(`${verdicts.length} images match their registries.`))
  const next = left.some(({ state }) => state !== 'gone')
    ? 'npx zx scripts/images.ts pins --write'
    : 'choose another tag, in all places of it'
  throw new Failure(
    exit.usage,
    'Check the pinned images',
    left.map(({ image, state }) => `${image}: ${state}`).join('; '),
    { next },
  )
}
