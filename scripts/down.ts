// Stops a stack; its data stays unless it is purged.
// Usage: npx zx scripts/down.ts [mode] [--purge]
// Exit codes: 0 2 3 6 130
import { parseArgs } from 'node:util'
import { readScriptArguments, wantsHelp } from './lib/arguments.ts'
import { exit, exitHelp } from './lib/errors.ts'

if (wantsHelp()) {
  console.log(`Usage: npx zx scripts/down.ts [mode] [--purge [--yes]]

Stops the containers of a stack and removes them and its networks. Volumes stay.
  mode       dev (default), prod or demo
  --purge    removes the volumes, and with them all data; asks first. A demo's generated env files go too.
  --yes      answers that question
  --json     NDJSON events on stdout

${exitHelp(0, 2, 3, 6, 130)}`)
  process.exit(exit.done)
}

const { Failure } = await import('./lib/errors.ts')
const { rm } = await import('node:fs/promises')
const { join } = await import('node:path')
const { askQuestion } = await import('./lib/prompt.ts')
const { readContainers, requireEngine } = await import('./lib/compose/containers.ts')
const { refuseOtherOwner } = await import('./lib/compose/ownership.ts')
const { removeProject, listProjectVolumes } = await import('./lib/compose/remove.ts')
const { emit, setJsonOutput, main, printResult, step } = await import('./lib/report.ts')
const { stackOf } = await import('./lib/compose/stack.ts')
const { listApplications, dockerFolder } = await import('./lib/repository.ts')

await main(async () => {
  const options = {
    json: { type: 'boolean' },
    purge: { type: 'boolean' },
    yes: { type: 'boolean', short: 'y' },
  } as const
  const { values, positionals } = parseArgs({
    args: readScriptArguments(),
    allowPositionals: true,
    options,
  })
  setJsonOutput(Boolean(values.json))
  // nobody who names an application means the whole stack
  if (positionals.length > 1)
    throw new Failure(exit.usage, 'Read the arguments', 'one mode: a stack is stopped whole', {
      next: 'npx zx scripts/down.ts --help',
    })
  const stack = stackOf(positionals[0] ?? 'dev')
  await requireEngine()
  const volumes = await listProjectVolumes(stack.project)
  if (values.purge)
    refuseOtherOwner(
      stack,
      await readContainers(stack.project),
      `Purge ${stack.project}`,
      folder => `make -C ${folder} ${stack.suffix ? `${stack.mode}-down` : 'purge'}`,
    )
  if (values.purge && !values.yes) await confirm(volumes)

  await step(values.purge ? `Remove ${stack.project}` : `Stop ${stack.project}`, () =>
    removeProject(stack.project, Boolean(values.purge)),
  )
  // the machine's own settings are a person's work; those of a demo were generated
  if (values.purge && stack.suffix)
    await Promise.all(
      ['.', ...listApplications()].map(folder =>
        rm(join(dockerFolder, folder, `.env${stack.suffix}`), { force: true }),
      ),
    )
  emit('result', { project: stack.project, purged: Boolean(values.purge) })
  printResult(
    values.purge
      ? `${stack.project} is gone, data and all.`
      : `${stack.project} is stopped; its ${volumes.length} volumes stay.`,
  )

  async function confirm(doomed: string[]) {
    const what = `Purge ${stack.project}`
    if (!process.stdin.isTTY)
      throw new Failure(exit.refused, what, 'it removes all data and nobody is at the terminal', {
        next: 'the same command with --yes',
      })
    const answer = await askQuestion(
      `This removes ${doomed.length} volumes with all their data (${doomed.join(', ')}).\nType ${stack.project} to go on: `,
    )
    if (answer !== stack.project) throw new Failure(exit.refused, what, 'not confirmed')
  }
})
