// Tells people in Slack and Discord what a deploy does. A message that does not arrive is a
// warning, never a result.
import { describeNetworkCode, fetchWeb } from '../http.ts'
import {
  doublingDelays,
  describeRefusal,
  parseRetryAfter,
  retryAttempts,
  type Attempt,
} from '../retry.ts'
import { loadEnvValues } from '../env/files.ts'
import { Failure } from '../errors.ts'
import type { DeployEvent } from './event.ts'
import { formatDiscordMessage, formatSlackMessage } from './message.ts'
import { keepSecret, redact } from '../redact.ts'
import { formatDuration } from '../report.ts'
import { root } from '../repository.ts'

/** The services, and the variable that holds the webhook's address. */
export const webhookServices = [
  { service: 'Slack', variable: 'SLACK_WEBHOOK_URL', message: formatSlackMessage },
  { service: 'Discord', variable: 'DISCORD_WEBHOOK_URL', message: formatDiscordMessage },
]
export type Webhook = (typeof webhookServices)[number] & { address: string }

/** ms before a message is sent a second time. */
const firstPauseMs = 500

/**
 * The webhooks that are set, in the process's environment or else in the environment's env files,
 * which need not be there. Their addresses are secrets from now on. Throws Failure (usage) for an
 * environment that cannot be or a file that cannot be read.
 */
export function loadWebhooks(name: string): Webhook[] {
  // a notification needs no complete environment
  const files = loadEnvValues(root, name, true)
  const address = (variable: string) => (process.env[variable] || files[variable] || '').trim()
  const set = webhookServices
    .map(one => ({ ...one, address: address(one.variable) }))
    .filter(({ address }) => address)
  for (const { address } of set) redactAddress(address)
  return set
}

/**
 * An address may come back in parts: a proxy's page quotes the path, an error the host and what
 * follows.
 */
function redactAddress(address: string): void {
  keepSecret(address)
  if (!URL.canParse(address)) return
  const { href, pathname, search } = new URL(address)
  for (const part of [
    href,
    pathname + search,
    pathname,
    search,
    ...pathname.split('/').filter(part => part.length >= 16),
  ])
    keepSecret(part)
}

/**
 * Tells all services at once, in `limit` ms altogether; never throws. Out: a warning for each that
 * was not told.
 */
export async function notifyWebhooks(
  event: DeployEvent,
  { hooks, limit = 10_000 }: { hooks?: Webhook[]; limit?: number } = {},
): Promise<string[]> {
  const end = Date.now() + limit
  try {
    const warnings = await Promise.all(
      (hooks ?? loadWebhooks(event.environment)).map(hook => deliverEvent(hook, event, end)),
    )
    return warnings.filter(warning => warning !== undefined).map(redact)
  } catch (error) {
    return [
      redact(
        `No message was sent: ${error instanceof Failure ? error.message : `a bug (${(error as Error).name})`}`,
      ),
    ]
  }
}

async function deliverEvent(
  { service, variable, address, message }: Webhook,
  event: DeployEvent,
  end: number,
): Promise<string | undefined> {
  redactAddress(address)
  if (!/^https?:\/\//.test(address) || !URL.canParse(address))
    return `${service}: ${variable} is not a web address`
  const body = JSON.stringify(message(event))
  const outcome = await retryAttempts(
    () => postToWebhook(address, body, Math.max(1, end - Date.now())),
    doublingDelays(firstPauseMs),
    { until: end },
  )
  return 'why' in outcome ? `${service} ${describeRefusal(outcome)}` : undefined
}

async function postToWebhook(address: string, body: string, ms: number): Promise<Attempt<true>> {
  try {
    const headers = { 'Content-Type': 'application/json' }
    const response = await fetchWeb(address, {
      method: 'POST',
      redirect: 'manual',
      size: 65_536,
      signal: AbortSignal.timeout(ms),
      headers,
      body,
    })
    const text = response.text().catch(() => '')
    if (response.ok) return { done: true }
    const why = `answered ${response.status}${shortReason(await text)}`
    const wait = Math.max(
      parseRetryAfter(response.headers.get('retry-after')),
      discordRetryMs(await text),
    )
    return response.status === 429 || response.status >= 500 ? { why, wait } : { why }
  } catch (error) {
    // node-fetch puts the address into its messages
    const { name, code } = error as NodeJS.ErrnoException
    return {
      why:
        name === 'AbortError'
          ? `did not answer in ${formatDuration(ms)}`
          : `cannot be reached (${code ? describeNetworkCode(code) : name})`,
    }
  }
}

/** The service's own short words; nothing that could be a page or an address. */
function shortReason(body: string): string {
  const words = redact(String(parseJson(body).message ?? body).trim())
  return /^[\w ,.:]{1,100}$/.test(words) ? ` (${words})` : ''
}

function parseJson(body: string): Record<string, unknown> {
  try {
    return Object(JSON.parse(body)) as Record<string, unknown>
  } catch {
    return {}
  }
}

/** ms that Discord asks to wait: its JSON is finer than its header. */
const discordRetryMs = (body: string): number =>
  Math.ceil(Number(parseJson(body).retry_after) * 1000) || 0

/** What a GitHub Actions step knows of itself. */
export function readWorkflowContext(
  env: NodeJS.ProcessEnv = process.env,
): Pick<DeployEvent, 'commit' | 'actor' | 'link'> {
  const { GITHUB_SHA, GITHUB_ACTOR, GITHUB_SERVER_URL, GITHUB_REPOSITORY, GITHUB_RUN_ID } = env
  const link =
    GITHUB_RUN_ID && `${GITHUB_SERVER_URL}/${GITHUB_REPOSITORY}/actions/runs/${GITHUB_RUN_ID}`
  return { commit: GITHUB_SHA, actor: GITHUB_ACTOR, link }
}
