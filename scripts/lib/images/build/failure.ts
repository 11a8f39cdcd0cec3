// Why a build failed, as an error that says what to do.
import { mkdirSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { findCommitPins } from '../pinned-commits.ts'
import { Failure, exit, type ExitCode } from '../../errors.ts'
import { findFirstError } from './first-error.ts'
import { findLastBuilt, type LastBuilt } from './last-built.ts'
import type { PlannedImage } from './tags.ts'

/** What the builder was told to build. */
export type AttemptedImage = Pick<PlannedImage, 'target' | 'name' | 'commit'>

/** Where the whole output of the last build that failed is kept. */
export const buildLogPath = (): string =>
  join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'kgc-stack/images-build.log')

/**
 * Keeps a build's output. Out: the line that says where; '' where it cannot be kept, which is no
 * reason to say less of the build.
 */
export function saveBuildLog(output: string): string {
  try {
    mkdirSync(join(buildLogPath(), '..'), { recursive: true })
    writeFileSync(buildLogPath(), output, { mode: 0o600 })
    return `The whole output of the builder: ${buildLogPath()}`
  } catch {
    return ''
  }
}

/** The images whose source is that of the one whose step failed. */
export function selectFailedSource(images: AttemptedImage[], output: string): AttemptedImage[] {
  const { step } = findFirstError(output)
  const failed = images.find(({ target }) => step.startsWith(`${target} `)) ?? images[0]
  return images.filter(({ commit }) => commit === failed?.commit)
}

/**
 * The error. `last` is the last commit of which the images of that source are; `log` the line that
 * says where all of the output is.
 * What the engine has no room for is refused, whatever `code` is: it says nothing of the source.
 */
export function createBuildFailure(
  images: AttemptedImage[],
  output: string,
  {
    last,
    log = '',
    code = exit.rolledBack,
  }: { last?: LastBuilt | undefined; log?: string; code?: ExitCode } = {},
): Failure {
  const names = images.map(({ target }) => target).join(' ')
  const what = `Build ${images.map(({ target }) => target).join(', ')}`
  const serving = code === exit.rolledBack ? 'nothing was pushed' : undefined
  const { step, error, near } = findFirstError(output)
  if (/no space left on device/.test(output))
    return new Failure(exit.refused, what, 'the builder has no space left', {
      evidence: [...near, log].join('\n'),
      next: 'docker system df; docker buildx prune',
      serving,
    })
  // BuildKit lists an image's contents by an image of Docker Hub's, which not every machine can
  // have
  const scanner = /buildkit-syft-scanner/.test(output)
  const why = `${scanner ? 'the image of the SBOM scanner cannot be pulled: ' : ''}${step ? `${step}: ` : ''}${error}`
  const built = last ? `The last commit that built: ${last.commit} (${last.known})` : ''
  const pin =
    last && findCommitPins([`${selectFailedSource(images, output)[0]!.name}:${last.commit}`])[0]
  const again = scanner
    ? `KGC_SBOM=false npx zx scripts/images.ts push ${names}`
    : `npx zx scripts/images.ts build ${names}`
  return new Failure(code, what, why, {
    evidence: [...near, built, log].filter(Boolean).join('\n'),
    next: pin ? `${pin.key}=${last!.commit}   (in ${pin.file})` : again,
    serving,
  })
}

/** The same, with the log kept and the last commit that built asked for. */
export async function explainBuildFailure(
  images: AttemptedImage[],
  output: string,
  code?: ExitCode,
): Promise<Failure> {
  const log = saveBuildLog(output)
  return createBuildFailure(images, output, {
    last: await findLastBuilt(selectFailedSource(images, output)),
    log,
    ...(code ? { code } : {}),
  })
}
