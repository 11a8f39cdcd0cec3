// Checks that a running stack works (scripts/smoke.ts).
import { usageFailure } from '../cli.ts'
import { exit, Failure } from '../errors.ts'
import { addSummaryFacts } from '../job-summary.ts'
import { color, emit, formatDuration, printResult, say, table, warn } from '../report.ts'
import { loadAppModules } from '../smoke/app-modules.ts'
import { productChecks, type SendMail, type SmokeTarget } from '../smoke/checks.ts'
import { listChecks, type ListedCheck } from '../smoke/list.ts'
import {
  countOutcomes,
  failedChecks,
  runCheck,
  skippedChecks,
  type CheckOutcome,
} from '../smoke/outcome.ts'
import { createTarget } from '../smoke/target.ts'

/** For one check of an application. */
const checkTimeoutMs = 60_000

interface SmokeArguments {
  values: {
    quick?: boolean
    list?: boolean
    only?: string[]
    mail?: string
    target?: string
  }
  positionals: string[]
}

/** Asks all checks, or with `mail` sends one mail from each application instead. */
export async function runSmokeCommand({ values, positionals }: SmokeArguments): Promise<void> {
  const { mail, quick, only } = values
  if (mail !== undefined && !/^[^@\s]+@[^@\s]+$/.test(mail))
    throw usageFailure('--mail needs an address')
  if (positionals.length > 1)
    throw usageFailure('one mode or environment; --only names applications')
  if (values.list) return reportList(await listChecks(only))
  const start = Date.now()
  const target = await createTarget(values.target, positionals[0])
  addSummaryFacts({}, `Smoke ${target.title}`)

  const outcomes = mail
    ? await sendMails(target, only, mail)
    : [...(await target.health()), ...(quick ? [] : await askProducts(target, only))]
  await reportOutcomes(target, outcomes, Date.now() - start)
}

function reportList(checks: ListedCheck[]): void {
  const rows = checks.map(({ name, writes, needs }) => [name, writes ? 'writes' : '', needs.join()])
  printResult(table([['check', '', 'needs'], ...rows]))
  emit('result', { checks })
}

async function askProducts(target: SmokeTarget, only?: string[]): Promise<CheckOutcome[]> {
  const checks = [
    ...(await productChecks(target, only)),
    ...(only ? [] : (target.ownChecks?.() ?? [])),
  ]
  return Promise.all(checks.map(({ ask }) => ask(checkTimeoutMs)))
}

async function sendMails(
  target: SmokeTarget,
  only: string[] | undefined,
  to: string,
): Promise<CheckOutcome[]> {
  await target.requireRunning()
  const modules = await loadAppModules<{ sendMail?: SendMail }>('smoke.ts', only)
  const sent = modules.map(({ folder, sendMail }) =>
    sendMail
      ? [runCheck(`${folder}: mail`, () => sendMail(target.context(folder), to), checkTimeoutMs)]
      : [],
  )
  return Promise.all(sent.flat())
}

async function reportOutcomes(
  target: SmokeTarget,
  outcomes: CheckOutcome[],
  ms: number,
): Promise<void> {
  for (const one of outcomes) emit('check', one)
  printResult(formatOutcomes(outcomes))
  const [bad, open] = [failedChecks(outcomes), skippedChecks(outcomes)]
  addSummaryFacts({ Checks: countOutcomes(outcomes), Took: formatDuration(ms) })
  const [failed, notAsked] = [bad, open].map(list => list.map(({ name }) => name))
  emit('result', { checks: outcomes.length, failed, notAsked, ms })
  for (const { name, detail } of open) warn(`${name}: ${detail}`)
  if (!bad.length) return say(color.green(`${countOutcomes(outcomes)} (${formatDuration(ms)})`))
  const why = `${bad.length} of ${outcomes.length - open.length} checks failed`
  const goLive = await target.findGoLive?.()
  throw new Failure(
    exit.broken,
    `Smoke ${target.title}`,
    goLive ? `${why}: it is held back by a restore` : why,
    {
      evidence: bad.map(({ name, detail }) => `${name}: ${detail}`).join('\n'),
      next: goLive ?? target.doctor,
    },
  )
}

const formatOutcomes = (outcomes: CheckOutcome[]): string =>
  table([
    ['', 'check', 'ms', ''],
    ...outcomes.map(({ name, ok, detail, ms }) => [
      outcomeSign(ok),
      name,
      String(ms),
      detail.split('\n', 1).join('').slice(0, 140),
    ]),
  ])

function outcomeSign(ok: boolean | null): string {
  if (ok === null) return '–'
  return ok ? '✔' : '✘'
}
