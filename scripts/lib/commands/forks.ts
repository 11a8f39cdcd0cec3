// Says how the forks are, makes them, takes another release (scripts/forks.ts).
import { usageFailure } from '../cli.ts'
import { selectForks } from '../forks/definition.ts'
import { requireKnownSubmodules } from '../forks/submodules.ts'

interface ForksArguments {
  values: { json?: boolean; 'dry-run'?: boolean; yes?: boolean }
  positionals: string[]
}

/** Does the verb that is the first word. */
export async function runForksCommand({ values, positionals }: ForksArguments): Promise<void> {
  const { 'dry-run': dry = false, yes = false } = values
  const [verb = '', ...words] = positionals
  const isBump = verb === 'bump' && words.length >= 1 && words.length <= 2
  if (!isBump && !['status', 'init'].includes(verb))
    throw usageFailure('one of status, init, bump FORK [TAG]')
  if (verb === 'status' && (dry || yes)) throw usageFailure('status changes nothing')
  const [fork, ...others] = selectForks(isBump ? words.slice(0, 1) : words)
  if (!fork) throw usageFailure('no application has a fork.yaml')
  await requireKnownSubmodules()
  if (isBump) {
    const { runBumpCommand } = await import('../forks/bump/bump.ts')
    return runBumpCommand(fork, words[1], { dry, yes })
  }
  if (verb === 'init') {
    const { runInitCommand } = await import('../forks/init.ts')
    return runInitCommand([fork, ...others], dry, yes)
  }
  const { runStatusCommand } = await import('../forks/status-command.ts')
  return runStatusCommand([fork, ...others])
}
