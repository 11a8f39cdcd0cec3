// Makes the first administrator of each application, and with that closes its public onboarding.
// Usage: npx zx scripts/admin.ts [mode] [folder …] | <environment> [folder …] --target kubernetes
// Exit codes: 0 2 3 6 130
import { parseArgs } from 'node:util'
import { readScriptArguments, wantsHelp } from './lib/arguments.ts'
import { exit, exitHelp } from './lib/errors.ts'

if (wantsHelp()) {
  console.log(`Usage: npx zx scripts/admin.ts [mode] [folder …]
       npx zx scripts/admin.ts <environment> [folder …] --target kubernetes

Makes the first administrator of each application from ADMIN_EMAIL and ADMIN_PASSWORD of the root env file, closes the pages on which any
visitor could make one, and lets the edge serve the application, which it does to nobody before. A second run changes nothing.
  mode       dev (default), prod or demo
  --target T compose (default): this machine; kubernetes: an environment of infra/k8s/overlays
  folder     only these (folders of infra/docker that have an admin.ts)
  --json     NDJSON events on stdout

${exitHelp(0, 2, 3, 6, 130)}`)
  process.exit(exit.done)
}

const { Failure } = await import('./lib/errors.ts')
const { emit, setJsonOutput, main, printResult, say, step } = await import('./lib/report.ts')
const { loadAppModules } = await import('./lib/smoke/checks.ts')
const { stackModes } = await import('./lib/compose/stack.ts')
const { createTarget } = await import('./lib/smoke/target.ts')

await main(async () => {
  const { values, positionals } = parseArgs({
    args: readScriptArguments(),
    allowPositionals: true,
    options: { json: { type: 'boolean' }, target: { type: 'string' } },
  })
  setJsonOutput(Boolean(values.json))
  const named = values.target === 'kubernetes' || stackModes().includes(positionals[0] ?? '')
  const target = await createTarget(values.target, named ? positionals.shift() : undefined)

  // Pre-flight: nothing is touched.
  const folders = await loadAppModules<{
    createAdmin: import('./lib/smoke/checks.ts').CreateAdmin
  }>('admin.ts', positionals)
  const { ADMIN_EMAIL: email, ADMIN_PASSWORD: password } = target.context('').env
  if (!email || !password)
    throw new Failure(
      exit.usage,
      'Read the administrator',
      `${email ? 'ADMIN_PASSWORD' : 'ADMIN_EMAIL'} is empty in ${target.envFile}`,
      {
        next: 'set it there, then the same command again',
      },
    )
  await target.requireRunning()

  // Impact.
  const failed: string[] = []
  for (const { folder, createAdmin } of folders) {
    try {
      const words = await step(`Administrator of ${folder}`, () =>
        createAdmin(target.context(folder), { email, password }),
      )
      const detail = [words, await target.open(folder)].filter(Boolean).join('; ')
      say(`  ${detail}`)
      emit('admin', { folder, detail })
    } catch (error) {
      failed.push(`${folder}: ${(error as Error).message}`)
    }
  }
  if (failed.length)
    throw new Failure(
      exit.broken,
      'Make the administrators',
      `${failed.length} of ${folders.length} failed`,
      { evidence: failed.join('\n'), next: 'the same command again; what is made stays' },
    )
  printResult(
    `${email} can log in; the first password is ADMIN_PASSWORD in ${target.envFile}: change it in the applications.`,
  )
})
