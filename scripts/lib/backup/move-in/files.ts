// The files of an application that moves in: a volume there, or what lies beside it in a container.
import { pipeline } from 'node:stream/promises'
import { Failure } from '../../errors.ts'
import { say } from '../../report.ts'
import { run } from '../../run.ts'
import { runBytes } from '../../run/bytes.ts'
import { createScratchVolume, workplaceOptions, type Workplace } from '../compose/workplace.ts'
import type { PlannedVolume } from '../plan.ts'
import type { OldFiles } from './find.ts'

/**
 * A volume with the files of several places there, the later winning; the place itself where it is one
 * volume alone. What is made goes with the workplace.
 */
export async function gatherFiles(
  place: Workplace,
  { key }: PlannedVolume,
  places: OldFiles[],
): Promise<string> {
  const [first] = places
  if (first && 'source' in first && places.length === 1) return first.source
  const volume = `${place.volume}-${key}`
  await createScratchVolume(place.project, volume)
  for (const one of places)
    if ('source' in one) await copyVolume(place, volume, one.source)
    else if (await copyOutOf(place, volume, one))
      say(`  ${key}: with what lies in the container at ${one.path}`)
  return volume
}

/** What a container without a network gets to write into a volume. */
const inVolume = (place: Workplace, volume: string, more: string[]): string[] => [
  ...['docker', 'run', '--rm', '--interactive', '--network', 'none', '--user', '0:0'],
  ...workplaceOptions(place),
  ...['--volume', `${volume}:/to`, ...more],
]

const copyVolume = (place: Workplace, volume: string, source: string) =>
  run(
    inVolume(place, volume, [
      ...['--volume', `${source}:/from:ro`, '--entrypoint', 'cp', place.image],
      ...['-a', '/from/.', '/to/'],
    ]),
    { what: `Copy ${source}` },
  )

/** Out: whether there is such a folder in the container. */
async function copyOutOf(
  place: Workplace,
  volume: string,
  { container, path }: { container: string; path: string },
): Promise<boolean> {
  const what = `Copy ${path} out of its container`
  const unpack = ['--entrypoint', 'tar', place.image, '--numeric-owner', '-xpf', '-', '-C', '/to']
  try {
    await runBytes(['docker', 'cp', `${container}:${path}/.`, '-'], what, files =>
      runBytes(
        inVolume(place, volume, unpack),
        what,
        async said => void (await said.toArray()),
        input => pipeline(files, input),
      ),
    )
    return true
  } catch (error) {
    const said = error instanceof Failure ? (error.evidence ?? '') : ''
    if (/could not find the file|no such container:path|not found in container/i.test(said))
      return false
    throw error
  }
}
