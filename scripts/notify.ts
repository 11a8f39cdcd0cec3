// Tells people in Slack and Discord what a deploy does.
// Usage: npx zx scripts/notify.ts <started|succeeded|failed|rolled-back> --environment NAME
// [options]
// Exit codes: 0 2 130
import { parseArgs } from 'node:util'
import { readScriptArguments, wantsHelp } from './lib/arguments.ts'
import { exit, exitHelp } from './lib/errors.ts'

if (wantsHelp()) {
  console.log(`Usage: npx zx scripts/notify.ts <started|succeeded|failed|rolled-back> --environment NAME [options]

Posts a message to Slack and Discord: to each whose webhook is set, SLACK_WEBHOOK_URL and DISCORD_WEBHOOK_URL, as a variable or in the
environment's env file. None is set: there is nothing to do. A message that does not arrive within 10 s is a warning and no failure.
  --environment NAME  staging, production …
  --release ID        the release
  --commit SHA        without it GITHUB_SHA
  --actor NAME        who deploys; without it GITHUB_ACTOR
  --duration SECONDS  how long it took
  --link URL          without it the run in GitHub Actions
  --cause TEXT        why it failed or was rolled back
  --next TEXT         the command that goes on from here
  --serving TEXT      what is serving now
  --dry-run           print the messages, send none
  --json              NDJSON events on stdout

${exitHelp(0, 2, 130)}`)
  process.exit(exit.done)
}

const { Failure } = await import('./lib/errors.ts')
const { emit, setJsonOutput, main, printResult, say, warn } = await import('./lib/report.ts')
const { readWorkflowContext, notifyWebhooks, webhookServices, loadWebhooks } =
  await import('./lib/notify/notify.ts')
const { deployEventKinds } = await import('./lib/notify/message.ts')

await main(async () => {
  const text = { type: 'string' } as const
  const flag = { type: 'boolean' } as const
  const texts = {
    environment: text,
    release: text,
    commit: text,
    actor: text,
    duration: text,
    link: text,
    cause: text,
    next: text,
    serving: text,
  }
  const { values, positionals } = parseArgs({
    args: readScriptArguments(),
    allowPositionals: true,
    options: { ...texts, 'dry-run': flag, json: flag },
  })
  setJsonOutput(Boolean(values.json))

  // Pre-flight: nothing is sent.
  const usage = (why: string) =>
    new Failure(exit.usage, 'Read the arguments', why, { next: 'npx zx scripts/notify.ts --help' })
  const kind = deployEventKinds.find(kind => kind === positionals[0])
  if (!kind || positionals.length > 1)
    throw usage(`"${positionals.join(' ')}" is not one of ${deployEventKinds.join(', ')}`)
  if (!values.environment) throw usage('--environment is missing')
  const { environment, cause, next, duration, 'dry-run': dry, json: _, ...own } = values
  const seconds = duration ? Number(duration) : undefined
  if (seconds !== undefined && !(seconds >= 0 && seconds < Infinity))
    throw usage(`--duration ${duration} is not a number of seconds`)
  const here = readWorkflowContext()
  const event = {
    kind,
    environment,
    ...own,
    commit: own.commit || here.commit,
    actor: own.actor || here.actor,
    link: own.link || here.link,
    ...(seconds === undefined ? {} : { ms: seconds * 1000 }),
    ...(cause || next ? { failure: { cause, next } } : {}),
  }
  const hooks = loadWebhooks(environment)

  if (dry) {
    for (const { service, variable, message } of webhookServices) {
      const set = hooks.some(hook => hook.service === service)
      say(
        `would ${set ? '' : 'not '}be sent to ${service}: ${variable} is ${set ? 'set' : 'not set'}`,
      )
      emit('message', { service, set, message: message(event) })
      if (!values.json) printResult(JSON.stringify(message(event), null, 2))
    }
    return
  }
  if (!hooks.length)
    return printResult(
      `Nobody is notified: ${webhookServices.map(({ variable }) => variable).join(' and ')} are not set.`,
    )

  // Impact.
  const warnings = await notifyWebhooks(event, { hooks })
  for (const warning of warnings) warn(warning)
  emit('notified', { kind, environment, services: hooks.map(({ service }) => service), warnings })
  printResult(
    `Notified ${hooks.length - warnings.length} of ${hooks.length}: ${hooks.map(({ service }) => service).join(', ')}.`,
  )
})
