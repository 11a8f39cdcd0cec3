// Proves that a running stack works: its services' health, then what each application is for.
// Usage: npx zx scripts/smoke.ts [mode] [--quick]
// Exit codes: 0 2 3 6 130
import { parseArgs } from 'node:util'
import { exit, exitHelp } from './lib/errors.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { help: { type: 'boolean', short: 'h' }, json: { type: 'boolean' }, quick: { type: 'boolean' }, only: { type: 'string', multiple: true } },
})
if (values.help) {
  console.log(`Usage: npx zx scripts/smoke.ts [mode] [--quick] [--only FOLDER]

Asks every service for its health, then runs the checks of each application (infra/docker/<folder>/smoke.ts) through the edge.
Checks that write run only in the demo; on a real stack smoke writes nothing.
  mode          dev (default), prod or demo
  --quick       health only
  --only F      one application's own checks (repeatable)
  --json        NDJSON, one event per check

${exitHelp(0, 2, 3, 6, 130)}`)
  process.exit(exit.done)
}

const { Failure } = await import('./lib/errors.ts')
const { join } = await import('node:path')
const { readFileSync } = await import('node:fs')
const { parse } = await import('dotenv')
const { color, duration, emit, jsonOutput, main, result, say, table } = await import('./lib/report.ts')
const { execIn, health, logsOf, outcome, productChecks } = await import('./lib/checks.ts')
const { config, containers, dockerFolder, stackOf } = await import('./lib/compose.ts')
const { localEdge } = await import('./lib/edge.ts')

await main(async () => {
  jsonOutput(Boolean(values.json))
  const start = Date.now()
  const stack = stackOf(positionals[0] ?? 'dev')
  const all = await config(stack)
  if (!(await containers(stack.project)).size)
    throw new Failure(exit.refused, `Smoke ${stack.project}`, 'nothing of it is running', { next: `npx zx scripts/up.ts ${stack.mode}` })

  const outcomes = [...(await health(stack, all)), ...(values.quick ? [] : await product())]
  for (const one of outcomes) emit('check', one)
  result(table([['', 'check', 'ms', ''], ...outcomes.map(({ name, ok, detail, ms }) => [ok ? '✔' : '✘', name, String(ms), detail.split('\n')[0]!.slice(0, 140)])]))
  const bad = outcomes.filter(({ ok }) => !ok)
  emit('result', { checks: outcomes.length, failed: bad.map(({ name }) => name), ms: Date.now() - start })
  if (!bad.length) return say(color.green(`${outcomes.length} of ${outcomes.length} checks passed (${duration(Date.now() - start)})`))
  throw new Failure(exit.broken, `Smoke ${stack.project}`, `${bad.length} of ${outcomes.length} checks failed`, {
    evidence: bad.map(({ name, detail }) => `${name}: ${detail}`).join('\n'),
    next: 'make doctor',
  })

  async function product() {
    const shared = parse(readFileSync(join(dockerFolder, `.env${stack.suffix}`)))
    const port = shared.HTTPS_PORT === '443' ? '' : `:${shared.HTTPS_PORT}`
    const wanted = (await productChecks()).filter(({ folder }) => !values.only || values.only.includes(folder))
    const base = {
      edge: localEdge(stack.mode === 'prod'),
      address: (subdomain: string) => `https://${subdomain}.${shared.DOMAIN}${port}`,
      exec: execIn(stack),
      logs: logsOf(stack),
      disposable: stack.suffix !== '',
    }
    return (
      await Promise.all(
        wanted.map(({ folder, checks }) => {
          const context = { ...base, env: { ...shared, ...parse(readFileSync(join(dockerFolder, folder, `.env${stack.suffix}`))) } }
          return Promise.all(checks.filter(({ writes }) => !writes || base.disposable).map(check => outcome(`${folder}: ${check.name}`, () => check.run(context), 60_000)))
        }),
      )
    ).flat()
  }
})
