// Secrets with known values, through a good deploy, failed ones whose logs print them, and a
// rollback: no output, record or message holds one.
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { sealSecret } from '../cluster.ts'
import { startWebhookReceiver } from './webhook-receiver.ts'
import { createTestEnvironment } from './test-environment.ts'

type Json = Record<string, any>
const test = suite('secrets')
const { space, box, write, start, get, releases } = createTestEnvironment('kgc-t-secrets')

const canary = (name: string) => `canary-${name}-6f1d2c3b4a59`
const values: Record<string, string> = {
  PLAIN: canary('plain'),
  QUOTED: `${canary('quoted')}"and\\more`,
  LINES: `-----BEGIN KEY-----\n${canary('line-one')}\n${canary('line-two')}\n-----END KEY-----`,
  ADDRESS: `postgresql://kgc:${canary('password')}@db:5432/kgc`,
  NEVER_READ: canary('never-read'),
}
/** What must be seen nowhere, whatever else of a value is. */
const signs = [
  'plain',
  'quoted',
  'line-one',
  'line-two',
  'password',
  'never-read',
  'late',
  'slack',
  'discord',
  'github',
].map(canary)
const said: Record<string, string> = {}

function sealed(name: string, data: Record<string, string>): Json {
  const one = sealSecret(space, name, data)
  return { ...one, metadata: { ...one.metadata, annotations: { 'kgc.hu/order': 'data' } } }
}
const reads = (secret: string, ...keys: string[]) =>
  keys.map(key => ({ name: key, valueFrom: { secretKeyRef: { name: secret, key } } }))
/**
 * An application that prints all that it knows: in its log, in a line longer than any that is
 * shown, and as its last words.
 */
const leak = `env; printf '%0490d%s\\n' 0 "$PLAIN"; printf '{"url":"%s"}\\n' "$ADDRESS"; printf '\\033[1m%s\\033[0m\\n' "$LINES"; exit 3`
function reader(command: string[], env: Json[]): Json {
  const container = {
    name: 'main',
    image: '127.0.0.1:5001/kgc-demo/redis:8',
    command,
    env,
    terminationMessagePolicy: 'FallbackToLogsOnError',
  }
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'reader', annotations: { 'kgc.hu/order': 'application' } },
    spec: {
      selector: { matchLabels: { app: 'reader' } },
      template: {
        metadata: { labels: { app: 'reader' } },
        spec: { terminationGracePeriodSeconds: 1, containers: [container] },
      },
    },
  }
}

const hook = {
  slack: await startWebhookReceiver(`/services/${canary('slack')}`),
  discord: await startWebhookReceiver(`/api/webhooks/${canary('discord')}`),
}
writeFileSync(
  join(box.docker, '.env.test'),
  `SLACK_WEBHOOK_URL=${hook.slack.address}\nDISCORD_WEBHOOK_URL=${hook.discord.address}\n`,
  { mode: 0o600 },
)
const script = async (name: string, ...argv: string[]) => {
  const one = start(argv, { GITHUB_TOKEN: canary('github') })
  const code = await one.code
  const all = one.said()
  said[name] = all
  return { code, all }
}
// a check that says what the application knows
const check = `export const checks = [{ name: 'reader works', async run({ exec }) {
  const said = (await exec('reader', ['sh', '-c', 'echo $SMOKE $PLAIN'])).trim()
  if (!said.startsWith('ok')) throw new Error('it says ' + said)
} }]
`
writeFileSync(join(box.docker, 'alpha/smoke.ts'), check)
const keys = sealed('reader-secrets', values)
const env = [
  { name: 'SMOKE', value: 'ok' },
  ...reads('reader-secrets', 'PLAIN', 'QUOTED', 'LINES', 'ADDRESS'),
]
const serve = ['redis-server', '--save', '']

test('a good deploy, sealed secrets and all', async () => {
  write({ more: [keys, reader(serve, env)] })
  const { code, all } = await script('good', 'deploy', 'test', '--json')
  assert.is(code, 0, all)
  assert.is(releases().at(-1)!.ending, 'succeeded')
})

test('an application that prints its secrets and crashes: its log is shown, without them', async () => {
  write({ more: [keys, reader(['sh', '-c', leak], env)] })
  const { code, all } = await script('leak', 'deploy', 'test', '--json')
  assert.is(code, 5, all)
  assert.match(all, 'log of main')
  assert.match(all, 'PLAIN=[secret]')
  assert.match(all, /"url":\\*"\[secret\]/, 'within JSON')
})

test('a secret that came with this deploy is not shown either', async () => {
  const late = sealed('late-secrets', { LATE: canary('late') })
  write({
    more: [
      keys,
      late,
      reader(
        ['sh', '-c', 'echo "it is $LATE"; exit 3'],
        [...env, ...reads('late-secrets', 'LATE')],
      ),
    ],
  })
  const { code, all } = await script('late', 'deploy', 'test')
  assert.is(code, 5, all)
  assert.match(all, 'it is [secret]')
})

test('neither is one in the log of a migration, nor in what a smoke check found', async () => {
  write({
    more: [keys, reader(serve, env)],
    migrate: `echo cannot reach $(echo ${Buffer.from(values.ADDRESS!).toString('base64')} | base64 -d); exit 1`,
  })
  const { code, all } = await script('migration', 'deploy', 'test')
  assert.is(code, 5, all)
  assert.match(all, 'cannot reach [secret]')
  write({ more: [keys, reader(serve, [{ name: 'SMOKE', value: 'broken' }, ...env.slice(1)])] })
  const smoke = await script('smoke', 'deploy', 'test')
  assert.is(smoke.code, 5, smoke.all)
  assert.match(smoke.all, 'it says broken [secret]')
})

test('a rollback', async () => {
  write({ more: [keys, reader(serve, env)], config: { A: '2' } })
  assert.is((await script('second', 'deploy', 'test', '--json')).code, 0)
  const { code, all } = await script('rollback', 'rollback', 'test', '--json')
  assert.is(code, 0, all)
  await script('list', 'rollback', 'test', '--list', '--json')
  await script('diff', 'rollback', 'test', '--diff', '1', String(releases().at(-1)!.number))
})

test('no output, record, lock or message holds one', () => {
  const maps = get('configmaps', '--selector', 'kgc.hu/release').items as Json[]
  assert.ok(maps.length >= 6)
  const places: Record<string, string> = {
    ...said,
    records: JSON.stringify(maps),
    manifests: maps
      .map(({ binaryData }) => gunzipSync(Buffer.from(binaryData.manifests, 'base64')).toString())
      .join('\n'),
    lease: JSON.stringify(get('lease', 'kgc-deploy')),
    slack: hook.slack.bodies.join('\n'),
    discord: hook.discord.bodies.join('\n'),
  }
  assert.ok(hook.slack.bodies.length >= 10 && hook.discord.bodies.length >= 10, 'both were told')
  for (const [environment, text] of Object.entries(places))
    for (const sign of signs) {
      const forms = [
        sign,
        Buffer.from(sign).toString('base64').slice(0, -4),
        encodeURIComponent(sign),
      ]
      // of a value that was cut its beginning may be left
      forms.push(sign.slice(0, -6))
      const found = (form: string) =>
        text.slice(Math.max(0, text.indexOf(form) - 80), text.indexOf(form) + 80)
      for (const form of forms)
        assert.not.ok(text.includes(form), `${environment} holds ${sign}: ${found(form)}`)
    }
  assert.ok(readFileSync(join(box.docker, '.env.test'), 'utf8').includes(canary('slack')))
  // nor does any process show one in its arguments: nothing of it runs any more
  assert.not.match(execFileSync('ps', ['-Ao', 'args'], { encoding: 'utf8' }), 'canary-plain')
})

test.run()
