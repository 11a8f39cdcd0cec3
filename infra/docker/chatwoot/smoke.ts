// What Chatwoot is for: its page, its live connection, and a Sidekiq that takes jobs and sends
// webhooks to KGC.
import { randomBytes } from 'node:crypto'
import {
  pollUntilFound,
  type SmokeCheck,
  type SendMail,
  type SmokeContext,
} from '../../../scripts/lib/smoke/checks.ts'
import { databaseChecks } from '../../../scripts/lib/smoke/database.ts'
import { redisChecks } from '../../../scripts/lib/smoke/redis.ts'
import { runRails } from './admin.ts'

const kgcWebhook = 'http://kgc-api:3000/api/v1/webhooks/chatwoot'
const open =
  'the onboarding is open, so the first visitor can become the administrator: make admin APP=chatwoot'

export const checks: SmokeCheck[] = [
  ...databaseChecks('chatwoot-db'),
  ...redisChecks('chatwoot-redis'),
  {
    name: 'the login page loads',
    async run({ edge, address }) {
      const { status, headers, body } = await edge.get(`${address('support')}/app/login`)
      if (headers.get('location')?.endsWith('/installation/onboarding')) throw new Error(open)
      if (status !== 200 || !body.includes('chatwootConfig'))
        throw new Error(
          `/app/login answers ${status}, ${headers.get('content-type')}, instead of Chatwoot's page`,
        )
    },
  },
  {
    name: 'the API reaches its database and Redis',
    // 200 whatever is broken: the body says it
    async run({ edge, address }) {
      const { status, body } = await edge.get(`${address('support')}/api`)
      const state = /^\s*\{/.test(body) ? (JSON.parse(body) as Record<string, string>) : {}
      if (status !== 200 || state.queue_services !== 'ok' || state.data_services !== 'ok')
        throw new Error(`/api answers ${status}: ${body.slice(0, 160)}`)
      return `version ${state.version}`
    },
  },
  {
    name: 'the live connection greets',
    async run({ edge, address }) {
      const greeting = await edge.websocket(`${address('support')}/cable`, 'actioncable-v1-json')
      if (!greeting.includes('"welcome"'))
        throw new Error(`/cable says ${greeting.slice(0, 80)} instead of a welcome`)
    },
  },
  {
    name: 'the onboarding is closed',
    async run({ edge, address }) {
      const { status } = await edge.get(`${address('support')}/installation/onboarding`)
      if (status === 200) throw new Error(open)
      if (status < 300 || status >= 400)
        throw new Error(`/installation/onboarding answers ${status} instead of a redirect`)
    },
  },
  {
    name: 'Sidekiq is alive',
    // a process writes its heartbeat every 10 s
    async run(context) {
      const ages = await ask(
        context,
        `
        local ages = {}
        for _, process in ipairs(redis.call('SMEMBERS', 'processes')) do
          local beat = redis.call('HGET', process, 'beat')
          if beat then table.insert(ages, math.floor(redis.call('TIME')[1] - beat)) end
        end
        return ages`,
      )
      const fresh = ages.filter(age => Number(age) <= 30)
      if (fresh.length) return `${fresh.length} ${fresh.length > 1 ? 'processes' : 'process'}`
      const last = ages.length
        ? `the last heartbeat is ${Math.min(...ages.map(Number))} s old`
        : 'no process has a heartbeat in Redis'
      throw new Error(
        `${last}: no mail and no webhook is sent. ${context.logCommand('chatwoot-sidekiq')}`,
      )
    },
  },
  {
    name: 'no job waits longer than 5 minutes',
    async run(context) {
      const late = await ask(
        context,
        `
        local late = {}
        for _, queue in ipairs(redis.call('SMEMBERS', 'queues')) do
          local job = redis.call('LINDEX', 'queue:' .. queue, -1)
          local since = job and tonumber(cjson.decode(job).enqueued_at)
          -- milliseconds in Sidekiq 8
          if since and since > 1e11 then since = since / 1000 end
          if since and redis.call('TIME')[1] - since > 300 then table.insert(late, queue .. ' (' .. redis.call('LLEN', 'queue:' .. queue) .. ')') end
        end
        return late`,
      )
      if (late.length)
        throw new Error(`jobs wait too long in ${late.join(', ')}: Sidekiq does not keep up`)
    },
  },
  {
    name: 'a new contact reaches KGC by webhook',
    writes: true,
    needs: ['ADMIN_EMAIL', 'ADMIN_PASSWORD'],
    async run(context) {
      const { token, account } = await signIn(context)
      await provideWebhook(context, token, account)
      const name = `Smoke-${randomBytes(6).toString('hex')}`
      await call(context, `/api/v1/accounts/${account}/contacts`, { token, body: { name } })
      const seen = await pollUntilFound(
        async () =>
          (await context.logs('kgc-api', 60)).split('\n').find(line => line.includes(name)),
        20,
      )
      if (!seen)
        throw new Error(
          `kgc-api has not logged ${name} within 20 s: ${context.logCommand('chatwoot-sidekiq')}`,
        )
    },
  },
]

/** Asks Redis with a Lua script that cannot write. */
async function ask({ exec }: SmokeContext, script: string): Promise<string[]> {
  const found = await exec('chatwoot-redis', [
    'sh',
    '-c',
    'REDISCLI_AUTH=$REDIS_PASSWORD exec redis-cli EVAL_RO "$0" 0',
    script,
  ])
  if (/^(ERR|NOAUTH|WRONGPASS|LOADING|MISCONF)/.test(found))
    throw new Error(`Redis says: ${found.trim()}`)
  return found.split('\n').filter(Boolean)
}

/** `api-access-token` with hyphens: proxies drop the spelling with underscores. */
async function call<T>(
  { edge, address }: SmokeContext,
  path: string,
  { token, body }: { token?: string; body?: unknown } = {},
): Promise<T> {
  const answer = await edge.get(`${address('support')}${path}`, {
    headers: {
      'Content-Type': 'application/json',
      ...(token ? { 'api-access-token': token } : {}),
    },
    ...(body ? { method: 'POST', body: JSON.stringify(body) } : {}),
  })
  if (answer.status !== 200)
    throw new Error(`${path} answers ${answer.status}: ${answer.body.slice(0, 160)}`)
  return JSON.parse(answer.body) as T
}

async function signIn(context: SmokeContext): Promise<{ token: string; account: number }> {
  const { ADMIN_EMAIL: email, ADMIN_PASSWORD: password } = context.env
  const { data } = await call<{ data: { access_token: string; account_id: number } }>(
    context,
    '/auth/sign_in',
    { body: { email, password } },
  )
  return { token: data.access_token, account: data.account_id }
}

/** The webhook to KGC, made once. */
async function provideWebhook(
  context: SmokeContext,
  token: string,
  account: number,
): Promise<void> {
  const path = `/api/v1/accounts/${account}/webhooks`
  const { payload } = await call<{ payload: { webhooks: { url: string }[] } }>(context, path, {
    token,
  })
  if (payload.webhooks.some(({ url }) => url === kgcWebhook)) return
  await call(context, path, {
    token,
    body: {
      webhook: {
        url: kgcWebhook,
        subscriptions: ['contact_created', 'conversation_created', 'message_created'],
      },
    },
  })
}

/** By ActionMailer, with the settings that Chatwoot sends its own mail with. */
export const sendMail: SendMail = async (context, to) => {
  const script = `
    raise 'SMTP_ADDRESS is empty: set SMTP_HOST in infra/docker/.env' if ENV['SMTP_ADDRESS'].to_s.empty?
    ActionMailer::Base.raise_delivery_errors = true
    ActionMailer::Base.mail(from: ENV['MAILER_SENDER_EMAIL'], to: data['to'], subject: data['subject'], body: data['body']).deliver_now
    puts "KGC #{{ mail: "accepted by #{ENV['SMTP_ADDRESS']}" }.to_json}"`
  const { mail } = await runRails(context, script, {
    to,
    subject: 'Test mail of Chatwoot',
    body: 'Sent from the container chatwoot-web with its own settings.',
  })
  return mail ?? ''
}
