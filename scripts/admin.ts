// Makes the first administrator of each application, and with that closes its public onboarding.
// Usage: npx zx scripts/admin.ts [mode] [folder …]
// Exit codes: 0 2 3 6 130
import { parseArgs } from 'node:util'
import { given, wantsHelp } from './lib/arguments.ts'
import { exit, exitHelp } from './lib/errors.ts'

if (wantsHelp()) {
  console.log(`Usage: npx zx scripts/admin.ts [mode] [folder …]

Makes the first administrator of each application from ADMIN_EMAIL and ADMIN_PASSWORD of the root env file, and closes the pages on
which any visitor could make one. A second run changes nothing.
  mode       dev (default), prod or demo
  folder     only these (folders of infra/docker that have an admin.ts)
  --json     NDJSON events on stdout

${exitHelp(0, 2, 3, 6, 130)}`)
  process.exit(exit.done)
}

const { Failure } = await import('./lib/errors.ts')
const { emit, jsonOutput, main, result, say, step } = await import('./lib/report.ts')
const { contextOf, fromFolders } = await import('./lib/checks.ts')
const { containers, modes, stackOf } = await import('./lib/compose.ts')

await main(async () => {
  const { values, positionals } = parseArgs({ args: given(), allowPositionals: true, options: { json: { type: 'boolean' } } })
  jsonOutput(Boolean(values.json))
  const mode = positionals[0] && modes().includes(positionals[0]) ? positionals.shift()! : 'dev'
  const stack = stackOf(mode)

  // Pre-flight: nothing is touched.
  const folders = await fromFolders<{ createAdmin: import('./lib/checks.ts').CreateAdmin }>('admin.ts', positionals)
  const { ADMIN_EMAIL: email, ADMIN_PASSWORD: password } = contextOf(stack, '').env
  const file = `infra/docker/.env${stack.suffix}`
  if (!email || !password)
    throw new Failure(exit.usage, 'Read the administrator', `${email ? 'ADMIN_PASSWORD' : 'ADMIN_EMAIL'} is empty in ${file}`, { next: `set it there, then npx zx scripts/admin.ts ${mode}` })
  const running = await containers(stack.project)
  if (![...running.values()].some(({ State }) => State.Status === 'running'))
    throw new Failure(exit.refused, 'Make the administrators', `nothing of ${stack.project} is running`, { next: `npx zx scripts/up.ts ${mode}` })

  // Impact.
  const failed: string[] = []
  for (const { folder, createAdmin } of folders) {
    try {
      const words = await step(`Administrator of ${folder}`, () => createAdmin(contextOf(stack, folder), { email, password }))
      say(`  ${words}`)
      emit('admin', { folder, detail: words })
    } catch (error) {
      failed.push(`${folder}: ${(error as Error).message}`)
    }
  }
  if (failed.length) throw new Failure(exit.broken, 'Make the administrators', `${failed.length} of ${folders.length} failed`, { evidence: failed.join('\n'), next: 'the same command again; what is made stays' })
  result(`${email} can log in; the first password is ADMIN_PASSWORD in ${file}: change it in the applications.`)
})
