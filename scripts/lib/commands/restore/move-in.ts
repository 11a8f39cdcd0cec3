// Moves in from a stack of today (restore.ts --from-compose).
import { resolve } from 'node:path'
import { usageFailure } from '../../cli.ts'
import { stackOf } from '../../compose/stack.ts'
import { runUpCommand } from '../up.ts'
import { readStackWords, type RestoreArguments } from './options.ts'

const moveInOnly = ['file', 'env-file', 'while-running', 'accept-missing-files'] as const

/** Throws Failure (usage) for what goes with --from-compose alone. */
export function refuseWithoutMoveIn(values: RestoreArguments): void {
  for (const name of moveInOnly)
    if (values[name]) throw usageFailure(`--${name} goes with --from-compose`)
}

/** Moves in from the stack in other folders. */
export async function runMoveIn(
  from: string[],
  values: RestoreArguments,
  positionals: string[],
): Promise<void> {
  for (const name of ['drill', 'drop-old', 'target', 'mask', 'yes', 'certificates'] as const)
    if (values[name]) throw usageFailure(`--${name} does not go with --from-compose`)
  const { mode, folders } = readStackWords(positionals)
  const stack = stackOf(mode)
  const files = { files: values.file ?? [], envFiles: values['env-file'] ?? [] }
  if (from.length > 1 && (files.files.length || files.envFiles.length))
    throw usageFailure('--file and --env-file go with one --from-compose')
  const { moveIn } = await import('../../backup/move-in/move.ts')
  await moveIn(stack, {
    ...{ from, folders, ...files, to: values.to && resolve(values.to), identity: values.identity },
    whileRunning: values['while-running'] ?? false,
    acceptMissing: values['accept-missing-files'] ?? false,
    live: values['go-live'] ?? false,
    up: runUpCommand,
  })
}
