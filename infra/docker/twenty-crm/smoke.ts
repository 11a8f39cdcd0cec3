// What Twenty is for: the page, GraphQL, and a worker that takes jobs and sends webhooks to KGC.
import { randomBytes } from 'node:crypto'
import {
  pollUntilFound,
  type SmokeCheck,
  type SendMail,
  type SmokeContext,
} from '../../../scripts/lib/smoke/checks.ts'
import { databaseChecks } from '../../../scripts/lib/smoke/database.ts'
import { redisChecks } from '../../../scripts/lib/smoke/redis.ts'
import type { EdgeResponse } from '../../../scripts/lib/smoke/edge.ts'
import { callApi, signIn, workspaceExists } from './api.ts'

const kgcWebhook = 'http://kgc-api:3000/api/v1/webhooks/twenty'

export const checks: SmokeCheck[] = [
  ...databaseChecks('twenty-db'),
  ...redisChecks('twenty-redis'),
  {
    name: 'the page loads',
    async run({ edge, address }) {
      const { status, headers, body } = await edge.get(`${address('crm')}/`)
      if (
        status !== 200 ||
        !headers.get('content-type')?.startsWith('text/html') ||
        !/id="root"/.test(body)
      )
        throw new Error(
          `/ answers ${status}, ${headers.get('content-type')}, instead of Twenty's page`,
        )
    },
  },
  {
    name: 'GraphQL answers',
    async run({ edge, address }) {
      const question = {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify({ query: '{__typename}' }),
      }
      const [records, settings] = await Promise.all(
        ['/graphql', '/metadata'].map(path => edge.get(address('crm') + path, question)),
      )
      const wrong = (path: string, { status, body }: EdgeResponse) =>
        new Error(`${path} answers ${status}: ${body.slice(0, 120)}`)
      if (!/"__typename":\s*"Query"/.test(settings!.body)) throw wrong('/metadata', settings!)
      // who is not signed in has no schema at /graphql, so a release may answer with GraphQL's
      // errors there
      if (records!.status >= 500 || !/"__typename"|"errors"/.test(records!.body))
        throw wrong('/graphql', records!)
    },
  },
  {
    name: 'sign-up is closed',
    // asked without trying: a workspace that the public can look up is one that is made, and then
    // sign-up is refused
    async run(context) {
      if (!(await workspaceExists(context)))
        throw new Error(
          'no user has signed up yet, and the first one becomes the administrator: make admin APP=twenty-crm',
        )
    },
  },
  {
    name: 'the worker is connected to its queues',
    // BullMQ names a worker's connection after its queue: bull:<base64>
    async run({ exec, logCommand }) {
      const clients = await exec('twenty-redis', [
        'sh',
        '-c',
        'REDISCLI_AUTH=$REDIS_PASSWORD exec redis-cli CLIENT LIST',
      ])
      const queues = new Set(
        [...clients.matchAll(/ name=bull:([A-Za-z0-9+/]+=*)(?=[ :])/g)].map(([, name]) =>
          Buffer.from(name!, 'base64').toString(),
        ),
      )
      if (!queues.size)
        throw new Error(
          `no worker is connected to Redis: no mail and no webhook is sent. ${logCommand('twenty-worker')}`,
        )
      return `${queues.size} queues`
    },
  },
  {
    name: 'no job waits longer than 5 minutes',
    async run(context) {
      const late = await lateJobs(context)
      if (!late.length) return
      // one that was due later than it was made may be seen just before it is taken
      const left = await pollUntilFound(
        async () => ((await lateJobs(context)).some(job => late.includes(job)) ? undefined : true),
        5,
      )
      if (!left)
        throw new Error(
          `${late.join(', ')} still ${late.length > 1 ? 'wait' : 'waits'}: the worker does not take them`,
        )
    },
  },
  {
    name: 'a new person is sent to KGC by webhook, signed',
    // KGC answers and understands nothing of it yet (README): its log shows that something came,
    // not what
    writes: true,
    needs: ['ADMIN_EMAIL', 'ADMIN_PASSWORD'],
    async run(context) {
      const token = await signIn(
        context,
        context.env.ADMIN_EMAIL ?? '',
        context.env.ADMIN_PASSWORD ?? '',
      )
      await provideWebhook(context, token)
      const received = async () => [
        ...(await context.logs('kgc-api', 120)).matchAll(
          /Twenty webhook received: (\S+)(?:.*signature=(\w+))?/g,
        ),
      ]
      const before = (await received()).length
      const firstName = `Smoke-${randomBytes(6).toString('hex')}`
      const query =
        'mutation Person($data: PersonCreateInput!) { createPerson(data: $data) { id } }'
      await callApi(context, '/graphql', {
        query,
        variables: { data: { name: { firstName, lastName: 'Check' } } },
        token,
      })
      const seen = await pollUntilFound(async () => (await received())[before], 20)
      if (!seen)
        throw new Error(
          `kgc-api has not logged a webhook of Twenty within 20 s: ${context.logCommand('twenty-worker')}`,
        )
      const [, event, signature = 'not logged'] = seen
      if (signature === 'wrong' || signature === 'none')
        throw new Error(
          `the webhook came with ${signature === 'none' ? 'no' : 'a wrong'} signature`,
        )
      return `delivered, signature ${signature}; ${event === 'undefined' ? 'not yet understood by KGC' : `understood as ${event}`}`
    },
  },
]

/**
 * The oldest job of each queue that was made more than 5 minutes ago; with priority (`prioritized`)
 * or without (`wait`).
 */
async function lateJobs({ exec }: SmokeContext): Promise<string[]> {
  const script = `
    local now, late = redis.call('TIME')[1], {}
    for _, kind in ipairs({ 'wait', 'prioritized' }) do
      for _, key in ipairs(redis.call('KEYS', 'bull:*:' .. kind)) do
        local id = kind == 'wait' and redis.call('LINDEX', key, -1) or redis.call('ZRANGE', key, 0, 0)[1]
        local made = id and redis.call('HGET', string.sub(key, 1, -#kind - 1) .. id, 'timestamp')
        if made and now - made / 1000 > 300 then table.insert(late, string.sub(key, 6, -#kind - 2) .. ' ' .. id) end
      end
    end
    return late`
  const found = await exec('twenty-redis', [
    'sh',
    '-c',
    'REDISCLI_AUTH=$REDIS_PASSWORD exec redis-cli EVAL_RO "$0" 0',
    script,
  ])
  return found.split('\n').filter(Boolean)
}

/** The webhook to KGC, made once, with the secret that KGC's own container knows. */
async function provideWebhook(context: SmokeContext, token: string): Promise<void> {
  const webhooks = await callApi<{ targetUrl: string }[]>(context, '/metadata', {
    query: '{ webhooks { id targetUrl } }',
    token,
  })
  if (webhooks.some(({ targetUrl }) => targetUrl === kgcWebhook)) return
  const query =
    'mutation Webhook($input: CreateWebhookInput!) { createWebhook(input: $input) { id } }'
  const secret = (await context.exec('kgc-api', ['printenv', 'TWENTY_WEBHOOK_SECRET'])).trim()
  const input = { targetUrl: kgcWebhook, operations: ['*.*'], description: 'KGC', secret }
  await callApi(context, '/metadata', { query, variables: { input }, token })
}

/**
 * From the worker, which sends Twenty's mail, with its own settings; curl reads them from its
 * standard input.
 */
export const sendMail: SendMail = async ({ exec }, to) => {
  const script = `
    if [ "$EMAIL_DRIVER" != smtp ]; then echo "EMAIL_DRIVER is \${EMAIL_DRIVER:-not set}: Twenty writes its mail to its log. Set TWENTY_EMAIL_DRIVER=smtp in infra/docker/twenty-crm/.env (Kubernetes: EMAIL_DRIVER of twenty-crm-config)"; exit 1; fi
    if [ -z "$EMAIL_SMTP_HOST" ]; then echo 'EMAIL_SMTP_HOST is empty: set SMTP_HOST in infra/docker/.env'; exit 1; fi
    scheme=smtp; if [ "$EMAIL_SMTP_PORT" = 465 ]; then scheme=smtps; fi
    mail=$(mktemp); trap 'rm -f "$mail"' EXIT
    printf '%s\\r\\n' "From: $EMAIL_FROM_NAME <$EMAIL_FROM_ADDRESS>" "To: $0" "Date: $(date -R)" 'Subject: Test mail of Twenty' '' \\
      'Sent from the container twenty-worker with its own settings.' > "$mail"
    quoted() { printf '%s' "$1" | sed 's/[\\\\"]/\\\\&/g'; }
    config() {
      # the path is the name that curl greets with
      printf 'url = "%s://%s:%s/%s"\\nupload-file = "%s"\\n' "$scheme" "$EMAIL_SMTP_HOST" "$EMAIL_SMTP_PORT" "\${EMAIL_FROM_ADDRESS#*@}" "$mail"
      printf 'mail-from = "%s"\\nmail-rcpt = "%s"\\n' "$EMAIL_FROM_ADDRESS" "$1"
      [ -z "$EMAIL_SMTP_USER" ] || printf 'user = "%s:%s"\\n' "$(quoted "$EMAIL_SMTP_USER")" "$(quoted "$EMAIL_SMTP_PASSWORD")"
      if [ "\${EMAIL_SMTP_NO_TLS:-false}" != true ]; then echo ssl; fi
    }
    # the server's answers only: what is sent to it holds the password
    said=$(config "$0" | curl --silent --show-error --verbose --max-time 30 --config - 2>&1) && code=0 || code=$?
    wanted='^< 2'; if [ $code != 0 ]; then wanted='^(< [45]|curl:)'; fi
    printf '%s\\n' "$said" | grep -aE "$wanted" | tail -n 2
    exit $code`
  const said = await exec('twenty-worker', ['sh', '-c', script, to])
  return said.trim().split('\n').at(-1) ?? ''
}
