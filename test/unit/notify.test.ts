import { readFileSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { parseRetryAfter } from '../../scripts/lib/retry.ts'
import {
  readWorkflowContext,
  notifyWebhooks,
  webhookServices,
  type Webhook,
} from '../../scripts/lib/notify/notify.ts'
import type { DeployEvent } from '../../scripts/lib/notify/event.ts'
import { formatDiscordMessage, formatSlackMessage } from '../../scripts/lib/notify/message.ts'
import { keepSecret } from '../../scripts/lib/redact.ts'
import { repository, sandbox, start } from '../sandbox.ts'

const test = suite('notify')

// Messages

const event = (change: Partial<DeployEvent> = {}): DeployEvent => ({
  kind: 'started',
  environment: 'production',
  release: '42',
  commit: '0123456789abcdef0123456789abcdef01234567',
  actor: 'eva',
  link: 'https://github.com/acme/stack/actions/runs/7',
  ...change,
})
const failure = {
  application: 'api',
  pod: 'api-7d9f-x2x4q',
  container: 'api',
  reason: 'CrashLoopBackOff',
  exitCode: 137,
  cause: 'it was killed: more memory than its limit of 512Mi',
  log: 'ready in 3 s\nreading <all> of the_rows & more\nKilled',
  next: 'kubectl --namespace kgc-production logs deployment/api --previous',
}
const cases: Record<string, DeployEvent> = {
  started: event(),
  succeeded: event({ kind: 'succeeded', ms: 95_000, serving: 'release 42' }),
  failed: event({ kind: 'failed', ms: 61_000, failure, serving: 'release 41; api is at 42 still' }),
  'rolled-back': event({
    kind: 'rolled-back',
    ms: 12_300,
    failure: { cause: 'smoke failed: GET /health answered 502' },
    serving: 'release 41',
  }),
  bare: { kind: 'failed', environment: 'staging' },
}
const snapshots = join(import.meta.dirname, '../fixtures/notify/messages.json')
const seen = Object.fromEntries(
  Object.entries(cases).map(([name, one]) => [
    name,
    { slack: formatSlackMessage(one), discord: formatDiscordMessage(one) },
  ]),
)
if (process.env.UPDATE_SNAPSHOTS) writeFileSync(snapshots, JSON.stringify(seen, null, 2) + '\n')
const expected = JSON.parse(readFileSync(snapshots, 'utf8')) as typeof seen

for (const name of Object.keys(cases))
  test(`the messages of "${name}" are those that were reviewed (UPDATE_SNAPSHOTS=1 writes them anew)`, () => {
    assert.equal(seen[name], expected[name])
  })

/** All texts of a message with the place they stand in. */
function texts(value: unknown, path = ''): [string, string][] {
  if (typeof value === 'string') return [[path, value]]
  return Object.entries(Object(value)).flatMap(([key, inner]) => texts(inner, `${path}.${key}`))
}
const all = (one: DeployEvent) =>
  [...texts(formatSlackMessage(one)), ...texts(formatDiscordMessage(one))]
    .map(([, text]) => text)
    .join('\n')

/** Slack's limit of a text, by its place in the message. */
function maxSlackLength(path: string): number {
  if (path === '.text' || path.startsWith('.blocks.0.')) return 150
  return path.includes('.fields.') ? 2000 : 3000
}

function fits(one: DeployEvent) {
  const slack = formatSlackMessage(one)
  assert.ok(slack.blocks.length <= 50)
  for (const [path, text] of texts(slack)) {
    const max = maxSlackLength(path)
    assert.ok(text.length >= 1 && text.length <= max, `Slack ${path}: ${text.length}`)
    assert.not.match(text, /&(?!(amp|lt|gt);)/, path)
  }
  const [embed] = formatDiscordMessage(one).embeds
  const { title, description = '', fields } = embed!
  assert.ok(title.length <= 256 && description.length <= 4096 && fields.length <= 25)
  for (const { name, value } of fields)
    assert.ok(name.length <= 256 && value.length >= 1 && value.length <= 1024, name)
  const sum = [title, description, ...fields.flatMap(({ name, value }) => [name, value])].join(
    '',
  ).length
  assert.ok(sum <= 6000, `Discord: ${sum}`)
  for (const [path, text] of [...texts(slack), ...texts(embed)])
    assert.not.match(text, /\p{Cs}/u, `half a character in ${path}`)
}

test('a rollback is called one', () => {
  assert.is(
    formatSlackMessage({ kind: 'succeeded', verb: 'rollback', environment: 'production' }).text,
    'Rollback of production succeeded',
  )
  assert.is(
    formatSlackMessage({ kind: 'rolled-back', verb: 'deploy', environment: 'production' }).text,
    'production was rolled back',
  )
})

test('a log of 40 lines and 10,000 characters fits, and its end is kept', () => {
  const log = Array.from({ length: 40 }, (_, i) => `line ${i} `.padEnd(249, 'x')).join('\n')
  assert.is(log.length, 40 * 250 - 1)
  const one = event({ kind: 'failed', failure: { ...failure, log } })
  fits(one)
  for (const message of [formatSlackMessage(one), formatDiscordMessage(one)]) {
    const text = texts(message)
      .map(([, text]) => text)
      .find(text => text.includes('Last log lines'))!
    assert.match(text, /```\n…\nline \d+ x/)
    assert.match(text, /\nline 39 x+\n```$/)
    assert.not.match(text, 'line 20 ')
  }
})

test('texts of any length and kind fit', () => {
  for (const piece of [
    'x',
    '<&>',
    '_*|\\',
    '`',
    '🦊',
    'word ',
    'a\n',
    '@everyone',
    '\u0000',
    '\ud800',
  ]) {
    const long = piece.repeat(30_000)
    const block = {
      application: long,
      pod: long,
      container: long,
      reason: long,
      exitCode: 1,
      cause: long,
      log: long,
      next: long,
    }
    const link = `https://github.com/${long}`
    fits({
      kind: 'failed',
      environment: long,
      release: long,
      commit: long,
      actor: long,
      ms: 1e9,
      link,
      failure: block,
      serving: long,
    })
    fits({ kind: 'failed', environment: 'x', failure: { log: `${long}\nlast` } })
  }
})

test('a log calls nobody and cannot leave its block', () => {
  const calls = '<!channel> <!here> <@U012AB3CD> <#C012> @everyone @HERE @\u200beveryone @channel'
  const log = `\`\`\`\n${calls}\n*bold* [text](https://x.hu) \`\`\` <https://x.hu|click> & \u001b[31mred\u001b[0m \u202e`
  const one = event({
    kind: 'failed',
    failure: { ...failure, log, cause: log, reason: log, next: log },
    actor: '<!channel>`@everyone`',
    serving: '<!everyone> # *@here*',
  })
  const slack = texts(formatSlackMessage(one)).filter(([path]) => !path.endsWith('.type'))
  for (const [path, text] of slack)
    if (!text.endsWith('|Open the run>')) assert.not.match(text, /[<>]/, path)
  for (const [path, text] of [...slack, ...texts(formatDiscordMessage(one))]) {
    assert.not.match(text, /@(everyone|here|channel)/i, path)
    assert.not.match(text, /[\u001b\u202e]/, path)
    assert.ok(
      [0, 1, 2].includes(text.split('```').length - 1) &&
        text.replaceAll('```', '').split('`').length % 2,
      path,
    )
  }
  const { embeds, allowed_mentions } = formatDiscordMessage(one)
  assert.equal(allowed_mentions, { parse: [] })
  assert.match(embeds[0]!.description!, "'''\n<!channel>", 'in a block Discord reads no markup')
  assert.match(
    embeds[0]!.description!,
    '\\*bold\\* \\[text\\](https://x.hu)',
    'outside of one it does',
  )
  const marked = JSON.stringify(formatSlackMessage(one)).match(/\{"type":"mrkdwn"[^{}]*\}/g)!
  for (const text of marked)
    assert.match(text, '"verbatim":true', 'Slack adds no mention of its own')
})

test('known secrets are in no message, also where escape codes or a cut would hide them', () => {
  keepSecret('canary&Password<1>')
  const log = `${'x'.repeat(2880)} \u001b[1mcanary&Pass\u001b[0mword<1>\ncanary&Password<1> ${'y'.repeat(2870)}`
  const one = event({
    kind: 'failed',
    actor: 'canary&Password<1>',
    link: 'https://x.hu/?p=canary&Password<1>',
    failure: { cause: 'canary&Password<1>', next: 'canary&Password<1>', log },
  })
  assert.not.match(all(one), /canary|Password/)
  assert.match(all(one), '[secret]')
  fits(one)
})

test('only a web address becomes a link', () => {
  const links = (link: string) => all(event({ link })).match(/\S*Open the/g)
  assert.equal(links('https://github.com/a?b=1&c=2|evil>'), [
    '<https://github.com/a?b=1&amp;c=2%7Cevil%3E|Open the',
  ])
  for (const link of [
    'javascript:alert(1)',
    'run 7',
    '',
    'https://',
    `https://x.hu/${'x'.repeat(1000)}`,
  ])
    assert.is(links(link), null, link)
})

const workflow = {
  GITHUB_SHA: 'abc',
  GITHUB_ACTOR: 'eva',
  GITHUB_SERVER_URL: 'https://github.com',
  GITHUB_REPOSITORY: 'kgc/stack',
  GITHUB_RUN_ID: '7',
}

test('a workflow step knows commit, actor and its run', () => {
  assert.equal(readWorkflowContext(workflow), {
    commit: 'abc',
    actor: 'eva',
    link: 'https://github.com/kgc/stack/actions/runs/7',
  })
  assert.equal(readWorkflowContext({}), { commit: undefined, actor: undefined, link: undefined })
})

// Sending

const token = 'canaryCanaryCanary0123456789'
const path = `/services/T0CANARY0/B0CANARY0/${token}`
const heard: string[] = []
const servers: ReturnType<typeof createServer>[] = []
type Answer = (response: ServerResponse, request: IncomingMessage) => unknown
const status =
  (code: number, body = '', headers = {}): Answer =>
  response =>
    response.writeHead(code, headers).end(body)
const hang: Answer = () => undefined

/**
 * A service on this machine that answers each request with the next of `answers`, the last one for
 * ever.
 */
async function stub(...answers: Answer[]) {
  const bodies: unknown[] = []
  const server = createServer(async (request, response) => {
    let body = ''
    for await (const piece of request) body += String(piece)
    bodies.push(JSON.parse(body))
    answers[Math.min(bodies.length, answers.length) - 1]!(response, request)
  })
  servers.push(server)
  await new Promise<void>(done => server.listen(0, '127.0.0.1', done))
  return { address: `http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`, bodies }
}
const hook = (address: string, index = 0): Webhook => ({ ...webhookServices[index]!, address })

async function told(hooks: Webhook[], limit?: number) {
  const start = Date.now()
  const warnings = await notifyWebhooks(event(), { hooks, ...(limit ? { limit } : {}) })
  heard.push(...warnings)
  return { warnings, ms: Date.now() - start }
}

test('each service gets its message', async () => {
  const [slack, discord] = [await stub(status(200, 'ok')), await stub(status(204))]
  assert.equal((await told([hook(slack.address), hook(discord.address, 1)])).warnings, [])
  assert.equal(
    [slack.bodies, discord.bodies],
    [[formatSlackMessage(event())], [formatDiscordMessage(event())]],
  )
})

test('429 is waited for as long as it asks, 5xx is tried again', async () => {
  const busy = await stub(status(429, 'rate_limited', { 'Retry-After': '1' }), status(200))
  const broken = await stub(status(500), status(503), status(200))
  const discord = await stub(
    status(
      429,
      JSON.stringify({ message: 'You are being rate limited.', retry_after: 0.7, global: false }),
    ),
    status(204),
  )
  const [first, second, third] = await Promise.all([
    told([hook(busy.address)]),
    told([hook(broken.address)]),
    told([hook(discord.address, 1)]),
  ])
  assert.equal([...first.warnings, ...second.warnings, ...third.warnings], [])
  assert.equal([busy.bodies.length, broken.bodies.length, discord.bodies.length], [2, 3, 2])
  assert.ok(
    first.ms >= 1000 && second.ms >= 1500 && third.ms >= 700,
    `${first.ms} ${second.ms} ${third.ms}`,
  )
})

test('the wait is read from seconds or a date', () => {
  const now = Date.parse('2026-11-25T12:00:00Z')
  const headers = [
    '3',
    '0.25',
    'Wed, 25 Nov 2026 12:00:05 GMT',
    'Wed, 25 Nov 2026 11:00:00 GMT',
    'soon',
    '-1',
    null,
  ]
  assert.equal(
    headers.map(header => parseRetryAfter(header, now)),
    [3000, 250, 5000, 0, 0, 0, 0],
  )
})

test('a wait that does not fit is not begun', async () => {
  const { address, bodies } = await stub(status(429, '', { 'Retry-After': '3600' }))
  const { warnings, ms } = await told([hook(address)])
  assert.equal(warnings, ['Slack answered 429, and there is no time for another try'])
  assert.ok(bodies.length === 1 && ms < 1000)
})

test("a refusal is not tried again, and says why in the service's short words", async () => {
  const cases: [Answer, string][] = [
    [status(404, 'no_service'), 'Slack answered 404 (no_service)'],
    [
      status(400, '{"message":"Invalid Form Body","code":50035}'),
      'Slack answered 400 (Invalid Form Body)',
    ],
    [
      (response, { url }) => response.writeHead(403).end(`Cannot POST ${url}`),
      'Slack answered 403',
    ],
    [
      (response, { url }) => response.writeHead(410).end(url!.split('/').at(-1)),
      'Slack answered 410',
    ],
    [
      (response, { url }) =>
        response.writeHead(302, { Location: `http://127.0.0.1:1${url}` }).end(),
      'Slack answered 302',
    ],
    [status(413, 'x'.repeat(100_000)), 'Slack answered 413'],
  ]
  for (const [answer, warning] of cases) {
    const { address, bodies } = await stub(answer)
    assert.equal((await told([hook(address)])).warnings, [warning])
    assert.is(bodies.length, 1)
  }
})

test('nobody there, a closed connection, an address that is none', async () => {
  const closed = await stub(response => response.destroy())
  const half = await stub(response => {
    response.writeHead(200, { 'Content-Length': '10' }).write('ok')
    setTimeout(() => response.destroy(), 50)
  })
  const warnings = async (address: string) => (await told([hook(address)])).warnings
  assert.equal(await warnings(closed.address), ['Slack cannot be reached (ECONNRESET)'])
  assert.equal(await warnings(half.address), [], 'the status had arrived')
  assert.equal(await warnings(`http://127.0.0.1:1${path}`), [
    'Slack cannot be reached (ECONNREFUSED)',
  ])
  for (const address of [`hooks.slack.com${path}`, `data:,${token}`, `https://${token}:x:y/`])
    assert.equal(await warnings(address), ['Slack: SLACK_WEBHOOK_URL is not a web address'])
  assert.equal(await warnings(`http://canary-user:${token}@127.0.0.1:1/`), [
    'Slack cannot be reached (TypeError)',
  ])
})

test('one that hangs takes no more than the limit, also after others were tried, and hides no other', async () => {
  const [mute, late, good] = [
    await stub(hang),
    await stub(status(500), hang),
    await stub(status(200)),
  ]
  const stuck = await stub(response => void response.writeHead(502).write('x'))
  const { warnings, ms } = await told(
    [hook(mute.address), hook(late.address, 1), hook(stuck.address), hook(good.address)],
    1500,
  )
  const said = [
    'Slack did not answer in N s',
    'Discord did not answer in N s',
    'Slack answered 502, and there is no time for another try',
  ]
  assert.equal(
    warnings.map(text => text.replace(/[\d.]+ s$/, 'N s')),
    said,
  )
  assert.ok(ms >= 1400 && ms < 9000, String(ms))
  assert.is(good.bodies.length, 1)
})

/** Goes on beside the other tests. */
const tenSeconds = (async () => {
  const [mute, broken] = [await stub(hang), await stub(status(500))]
  return { broken, ...(await told([hook(mute.address), hook(broken.address, 1)])) }
})()

test('it never throws', async () => {
  assert.match(
    (await notifyWebhooks({ kind: 'started', environment: 'Not One' })).join(),
    /^No message was sent: Choose the environment/,
  )
  const hooks = [hook(`http://127.0.0.1:1${path}`)]
  assert.equal(
    await notifyWebhooks({ kind: 'nonsense' as 'started', environment: 'x' }, { hooks }),
    ['No message was sent: a bug (TypeError)'],
  )
})

// The script

const unset = [
  'SLACK_WEBHOOK_URL',
  'DISCORD_WEBHOOK_URL',
  'GITHUB_ACTIONS',
  'GITHUB_SHA',
  'GITHUB_ACTOR',
  'GITHUB_RUN_ID',
]
const nothing = { ...Object.fromEntries(unset.map(name => [name, ''])), DEBUG: '1', NO_COLOR: '1' }

/** Runs the script while this process goes on answering. */
async function script(argv: string[], env: Record<string, string> = {}, cwd = repository) {
  const begun = Date.now()
  const { code, output } = start(cwd, ['notify', ...argv], { ...nothing, ...env })
  const ended = await code
  heard.push(output.stdout, output.stderr)
  return { code: ended, ms: Date.now() - begun, ...output }
}

test('without a webhook there is nothing to do, and it says so', async () => {
  const { code, stdout } = await script(['started', '--environment', 'staging'])
  assert.equal(
    [code, stdout],
    [0, 'No message is sent: SLACK_WEBHOOK_URL and DISCORD_WEBHOOK_URL are not set.\n'],
  )
})

test('a workflow step tells the one that is set what it knows', async () => {
  const { address, bodies } = await stub(status(204))
  const github = { ...workflow, GITHUB_SHA: 'a'.repeat(40) }
  const options = [
    '--release',
    '42',
    '--duration',
    '95',
    '--cause',
    'the image is not there',
    '--next',
    'make it',
    '--serving',
    'release 41',
    '--json',
  ]
  const { code, stdout } = await script(['failed', '--environment', 'staging', ...options], {
    DISCORD_WEBHOOK_URL: ` ${address}\n`,
    ...github,
  })
  assert.is(code, 0)
  const { time: _, ...said } = JSON.parse(stdout) as Record<string, unknown>
  assert.equal(said, {
    event: 'notified',
    kind: 'failed',
    environment: 'staging',
    services: ['Discord'],
    warnings: [],
  })
  const given = {
    release: '42',
    ms: 95_000,
    failure: { cause: 'the image is not there', next: 'make it' },
    serving: 'release 41',
  }
  assert.equal(bodies, [
    formatDiscordMessage({
      kind: 'failed',
      environment: 'staging',
      ...readWorkflowContext(github),
      ...given,
    }),
  ])
})

test('a webhook that fails is a warning, not a result', async () => {
  const { address } = await stub(status(404, 'no_service'))
  const env = {
    SLACK_WEBHOOK_URL: address,
    DISCORD_WEBHOOK_URL: `http://127.0.0.1:1${path}`,
    GITHUB_ACTIONS: 'true',
  }
  const { code, stdout, stderr } = await script(['started', '--environment', 'staging'], env)
  assert.equal([code, stdout], [0, 'Notified 0 of 2: Slack, Discord.\n'])
  assert.match(
    stderr,
    '  ⚠ Slack answered 404 (no_service)\n::warning::Slack answered 404 (no_service)\n  ⚠ Discord cannot be reached (ECONNREFUSED)\n',
  )
})

test('a dry run prints the messages and sends none', async () => {
  const { address, bodies } = await stub(status(200))
  const { code, stdout, stderr } = await script(
    ['succeeded', '--environment', 'staging', '--dry-run', '--json'],
    { SLACK_WEBHOOK_URL: address },
  )
  assert.equal([code, bodies], [0, []])
  assert.match(
    stderr,
    'would be sent to Slack: SLACK_WEBHOOK_URL is set\nwould not be sent to Discord: DISCORD_WEBHOOK_URL is not set\n',
  )
  const messages = stdout
    .trim()
    .split('\n')
    .map(line => (JSON.parse(line) as { message: unknown }).message)
  const one: DeployEvent = { kind: 'succeeded', environment: 'staging' }
  assert.equal(messages, [formatSlackMessage(one), formatDiscordMessage(one)])
})

test('wrong usage ends with 2 and names what is wrong', async () => {
  const wrong: [string[], RegExp][] = [
    [[], /"" is not one of started, succeeded, failed, rolled-back/],
    [['done', '--environment', 'x'], /"done" is not one of/],
    [['started', 'failed', '--environment', 'x'], /"started failed"/],
    [['started'], /--environment is missing/],
    [['started', '--environment', 'x', '--duration', '5m'], /--duration 5m is not/],
    [['started', '--environment', 'No One'], /its name has lower-case letters/],
  ]
  for (const [argv, words] of wrong) {
    const { code, stderr } = await script(argv)
    assert.is(code, 2, stderr)
    assert.match(stderr, words)
  }
})

test("the environment's env file may name the webhooks; the process's own variable wins", async () => {
  const copy = sandbox()
  try {
    const [file, own] = [await stub(status(200)), await stub(status(200))]
    writeFileSync(
      join(copy.docker, '.env.staging'),
      `SLACK_WEBHOOK_URL=${file.address}\nADMIN_PASSWORD=canaryPassword1\n`,
    )
    const cause = ['--cause', 'log in with canaryPassword1']
    assert.is(
      (await script(['failed', '--environment', 'staging'], {}, copy.root)).stdout,
      'Notified 1 of 1: Slack.\n',
    )
    assert.equal(file.bodies.length, 1)
    await script(
      ['failed', '--environment', 'staging', ...cause],
      { SLACK_WEBHOOK_URL: own.address },
      copy.root,
    )
    assert.equal([file.bodies.length, own.bodies.length], [1, 1])
    assert.match(JSON.stringify(own.bodies), 'log in with [secret]')
    assert.match(
      (await script(['started', '--environment', 'production'], {}, copy.root)).stdout,
      'No message is sent',
    )
  } finally {
    copy.remove()
  }
})

test('the limit is 10 s', async () => {
  const { broken, warnings, ms } = await tenSeconds
  assert.is(warnings.length, 2)
  assert.is(warnings[0], 'Slack did not answer in 10.0 s')
  // on a busy machine its last try may be under way at the end
  assert.match(
    warnings[1] ?? '',
    /^Discord (answered 500, and there is no time for another try|did not answer in (\d\.\d|10\.0) s)$/,
  )
  assert.ok(ms > 9000 && ms < 30_000, String(ms))
  // a busy machine starts fewer
  assert.ok(broken.bodies.length <= 5, String(broken.bodies.length))
})

test('no address, and no part of one, is in anything that was said', () => {
  assert.ok(heard.length > 30)
  for (const text of heard) assert.not.match(text, /canary|127\.0\.0\.1|\/services/i)
})

test.after(() => {
  for (const server of servers) {
    server.closeAllConnections()
    server.close()
  }
})

test.run()
