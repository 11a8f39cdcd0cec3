// Proves that a running stack works: its services' health, then what each application is for.
// Usage: npx zx scripts/smoke.ts [mode] [--quick] [--mail ADDRESS] | <environment> --target
// kubernetes
// Exit codes: 0 2 3 6 130
import { parseArgs } from 'node:util'
import { readScriptArguments, wantsHelp } from './lib/arguments.ts'
import { exit, exitHelp } from './lib/errors.ts'

if (wantsHelp()) {
  console.log(`Usage: npx zx scripts/smoke.ts [mode] [--quick] [--only FOLDER] [--mail ADDRESS]
       npx zx scripts/smoke.ts <environment> --target kubernetes […]

Asks every service for its health, then runs the checks of each application (infra/docker/<folder>/smoke.ts) through the edge.
Checks that write run only where the data is disposable (the demo); on a real stack smoke writes nothing. One whose login is in no env
file here is not asked, and is no failure.
  mode          dev (default), prod or demo
  --target T    compose (default): this machine; kubernetes: an environment of infra/k8s/overlays (demo, staging, production)
  --quick       health only
  --only F      one application's own checks (repeatable)
  --mail A      instead of all that: each application that sends mail sends one to A with its own settings
  --json        NDJSON, one event per check; ok is null where it was not asked
With GITHUB_STEP_SUMMARY set it adds its result to the job's summary.

${exitHelp(0, 2, 3, 6, 130)}`)
  process.exit(exit.done)
}

const { Failure } = await import('./lib/errors.ts')
const { color, formatDuration, emit, setJsonOutput, main, printResult, say, table, warn } =
  await import('./lib/report.ts')
const { loadAppModules, productChecks } = await import('./lib/smoke/checks.ts')
const { countOutcomes, failedChecks, runCheck, skippedChecks } =
  await import('./lib/smoke/outcome.ts')
const { addSummaryFacts } = await import('./lib/job-summary.ts')
const { createTarget } = await import('./lib/smoke/target.ts')

function outcomeSign(ok: boolean | null): string {
  if (ok === null) return '–'
  return ok ? '✔' : '✘'
}

await main(async () => {
  const text = { type: 'string' } as const
  const options = {
    json: { type: 'boolean' },
    quick: { type: 'boolean' },
    only: { ...text, multiple: true },
    mail: text,
    target: text,
  } as const
  const { values, positionals } = parseArgs({
    args: readScriptArguments(),
    allowPositionals: true,
    options,
  })
  setJsonOutput(Boolean(values.json))
  if (values.mail !== undefined && !/^[^@\s]+@[^@\s]+$/.test(values.mail))
    throw new Failure(exit.usage, 'Read the arguments', '--mail wants an address')
  if (positionals.length > 1)
    throw new Failure(
      exit.usage,
      'Read the arguments',
      'one mode or environment; --only names applications',
      { next: 'npx zx scripts/smoke.ts --help' },
    )
  const start = Date.now()
  const target = await createTarget(values.target, positionals[0])
  addSummaryFacts({}, `Smoke ${target.title}`)

  const outcomes = values.mail
    ? await mail(values.mail)
    : [...(await target.health()), ...(values.quick ? [] : await product())]
  for (const one of outcomes) emit('check', one)
  printResult(
    table([
      ['', 'check', 'ms', ''],
      ...outcomes.map(({ name, ok, detail, ms }) => [
        outcomeSign(ok),
        name,
        String(ms),
        detail.split('\n')[0]!.slice(0, 140),
      ]),
    ]),
  )
  const [bad, open] = [failedChecks(outcomes), skippedChecks(outcomes)]
  addSummaryFacts({ Checks: countOutcomes(outcomes), Took: formatDuration(Date.now() - start) })
  const [names, openNames] = [bad, open].map(list => list.map(({ name }) => name))
  emit('result', {
    checks: outcomes.length,
    failed: names,
    notAsked: openNames,
    ms: Date.now() - start,
  })
  for (const { name, detail } of open) warn(`${name}: ${detail}`)
  if (!bad.length)
    return say(color.green(`${countOutcomes(outcomes)} (${formatDuration(Date.now() - start)})`))
  throw new Failure(
    exit.broken,
    `Smoke ${target.title}`,
    `${bad.length} of ${outcomes.length - open.length} checks failed`,
    {
      evidence: bad.map(({ name, detail }) => `${name}: ${detail}`).join('\n'),
      next: target.doctor,
    },
  )

  async function product() {
    return Promise.all((await productChecks(target, values.only)).map(({ ask }) => ask(60_000)))
  }

  async function mail(to: string) {
    await target.requireRunning()
    const folders = (
      await loadAppModules<{ sendMail?: import('./lib/smoke/checks.ts').SendMail }>(
        'smoke.ts',
        values.only,
      )
    ).filter(({ sendMail }) => sendMail)
    return Promise.all(
      folders.map(({ folder, sendMail }) =>
        runCheck(`${folder}: mail`, () => sendMail!(target.context(folder), to), 60_000),
      ),
    )
  }
})
