// Tells people in Slack and Discord what a deploy does (scripts/notify.ts).
import { usageFailure } from '../cli.ts'
import { deployEventKinds, type DeployEvent } from '../notify/event.ts'
import {
  loadWebhooks,
  notifyWebhooks,
  readWorkflowContext,
  webhookServices,
  type Webhook,
} from '../notify/notify.ts'
import { emit, printResult, say, warn } from '../report.ts'

interface NotifyArguments {
  values: {
    environment?: string
    release?: string
    commit?: string
    actor?: string
    duration?: string
    link?: string
    cause?: string
    next?: string
    serving?: string
    'dry-run'?: boolean
    json?: boolean
  }
  positionals: string[]
}

/** Sends the event that is named to each service whose webhook is set. */
export async function runNotifyCommand(given: NotifyArguments): Promise<void> {
  // Pre-flight: nothing is sent.
  const event = readEvent(given)
  const hooks = loadWebhooks(event.environment)
  if (given.values['dry-run']) return showMessages(event, hooks, Boolean(given.values.json))
  if (!hooks.length)
    return printResult(
      `No message is sent: ${webhookServices.map(({ variable }) => variable).join(' and ')} are not set.`,
    )

  // Impact.
  const warnings = await notifyWebhooks(event, { hooks })
  for (const warning of warnings) warn(warning)
  const { kind, environment } = event
  const services = hooks.map(({ service }) => service)
  emit('notified', { kind, environment, services, warnings })
  printResult(
    `Notified ${hooks.length - warnings.length} of ${hooks.length}: ${services.join(', ')}.`,
  )
}

function readEvent({ values, positionals }: NotifyArguments): DeployEvent {
  const kind = deployEventKinds.find(kind => kind === positionals[0])
  if (!kind || positionals.length > 1)
    throw usageFailure(`"${positionals.join(' ')}" is not one of ${deployEventKinds.join(', ')}`)
  const { environment, cause, next, duration, 'dry-run': _, json: __, ...own } = values
  if (!environment) throw usageFailure('--environment is missing')
  const seconds = duration ? Number(duration) : undefined
  if (seconds !== undefined && !(seconds >= 0 && seconds < Infinity))
    throw usageFailure(`--duration ${duration} is not a number of seconds`)
  const here = readWorkflowContext()
  return {
    kind,
    environment,
    ...own,
    commit: own.commit || here.commit,
    actor: own.actor || here.actor,
    link: own.link || here.link,
    ...(seconds === undefined ? {} : { ms: seconds * 1000 }),
    ...(cause || next ? { failure: { cause, next } } : {}),
  }
}

function showMessages(event: DeployEvent, hooks: Webhook[], json: boolean): void {
  for (const { service, variable, message } of webhookServices) {
    const set = hooks.some(hook => hook.service === service)
    say(
      `would ${set ? '' : 'not '}be sent to ${service}: ${variable} is ${set ? 'set' : 'not set'}`,
    )
    emit('message', { service, set, message: message(event) })
    if (!json) printResult(JSON.stringify(message(event), null, 2))
  }
}
