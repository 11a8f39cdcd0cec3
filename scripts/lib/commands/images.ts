// Builds, pushes, checks and lists images (scripts/images.ts).
import { usageFailure } from '../cli.ts'
import { runBuildCommand, runPushCommand } from '../images/commands.ts'
import { runListCommand } from '../images/list.ts'
import { runPinsCommand } from '../images/pins-command.ts'

interface ImagesArguments {
  values: {
    json?: boolean
    'dry-run'?: boolean
    write?: boolean
    prune?: boolean
    commits?: boolean
    replace?: boolean
    keep?: string
  }
  positionals: string[]
}

/** The options that a verb takes besides those that all take. */
const optionsOf: Record<string, string[]> = {
  build: [],
  push: ['replace'],
  pins: ['write'],
  list: ['prune', 'commits', 'keep'],
}

/** Does the verb that is the first word. */
export async function runImagesCommand(given: ImagesArguments): Promise<void> {
  if (!isUnderstood(given))
    throw usageFailure('one of build, push, pins, list, with its own options')
  const { 'dry-run': dry = false, replace = false, write = false } = given.values
  const { prune = false, commits = false, keep = '10' } = given.values
  const [verb, ...names] = given.positionals
  if (verb === 'build') return runBuildCommand(names, dry)
  if (verb === 'push') return runPushCommand(names, dry, replace)
  if (verb === 'pins') return runPinsCommand(write && !dry)
  return runListCommand({ prune, commits, keep: Number(keep), dry })
}

function isUnderstood({ values, positionals }: ImagesArguments): boolean {
  const { json: _, 'dry-run': __, ...own } = values
  const [verb = '', ...names] = positionals
  return (
    Boolean(optionsOf[verb]) &&
    Object.keys(own).every(option => optionsOf[verb]?.includes(option)) &&
    !(['pins', 'list'].includes(verb) && names.length) &&
    /^\d+$/.test(own.keep ?? '10') &&
    (Boolean(own.prune) || !(own.commits || own.keep))
  )
}
