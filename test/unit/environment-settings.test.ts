// `env.ts --github` against a stand-in of GitHub's API on this machine.
import { once } from 'node:events'
import { spawn } from 'node:child_process'
import { cpSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { listWorkflowSettings } from '../../scripts/lib/github/workflow-settings.ts'
import { repository, sandbox, type Result } from '../sandbox.ts'

const test = suite('environment settings')
const box = sandbox()
cpSync(join(repository, '.github'), join(box.root, '.github'), { recursive: true })
const hook = 'https://hooks.slack.com/services/canary'
if (box.script(['env', 'staging']).code) throw new Error('the env files could not be made')
const file = join(box.docker, '.env.staging')
writeFileSync(
  file,
  readFileSync(file, 'utf8').replace(/^SLACK_WEBHOOK_URL=$/m, `SLACK_WEBHOOK_URL=${hook}`),
)
const token = 'canaryGitHubToken'

type Lists = Record<string, string[]>
const asked: string[] = []
let lists: Lists = {}
let refuse = 0
const server = createServer((request, response) => {
  const { pathname } = new URL(request.url!, 'http://x')
  asked.push(`${request.method} ${pathname}`)
  const json = (code: number, body: unknown) =>
    response.writeHead(code, { 'Content-Type': 'application/json' }).end(JSON.stringify(body))
  if (refuse) return json(refuse, { message: 'Resource not accessible by personal access token' })
  const path = pathname.replace('/repos/kgc/stack/', '')
  const names = lists[path]
  if (request.headers.authorization !== `token ${token}` || !names)
    return json(404, { message: 'Not Found' })
  return json(200, {
    total_count: names.length,
    [path.split('/').at(-1)!]: names.map(name => ({ name })),
  })
}).listen(0, '127.0.0.1')
await once(server, 'listening')
server.unref()
const api = () => `http://127.0.0.1:${(server.address() as AddressInfo).port}`

/** In a process of its own when what it keeps back is looked at. */
async function github(
  argv: string[],
  env: Record<string, string> = {},
  alone = false,
): Promise<Omit<Result, 'ms'>> {
  const own = { GITHUB_TOKEN: token, GITHUB_REPOSITORY: 'kgc/stack', GITHUB_API_URL: api(), ...env }
  if (!alone) return box.inProcess(['env', '--github', ...argv], own)
  const { code, output } = box.start(['env', '--github', ...argv], own)
  const ended = await code
  assert.not.match(output.all, 'canary')
  return { code: ended ?? -1, ...output }
}
const state = (stdout: string, name: string) =>
  stdout
    .split('\n')
    .find(line => line.startsWith(`${name} `))
    ?.split(/  +/)[2]

test('what is wanted is what the workflows say', () => {
  const names = (environment: string) =>
    listWorkflowSettings(box.root, environment)
      .map(({ kind, name, required }) => `${kind} ${name}${required ? '' : '?'}`)
      .sort()
  const secrets = [
    'secret BACKUP_S3_ACCESS_KEY_ID?',
    'secret BACKUP_S3_SECRET_ACCESS_KEY?',
    'secret DISCORD_WEBHOOK_URL?',
    'secret KUBECONFIG',
    'secret SLACK_WEBHOOK_URL?',
  ]
  const backups = ['COPY_TO', 'RECIPIENTS', 'S3_ENDPOINT', 'S3_REGION'].map(
    key => `variable BACKUP_${key}?`,
  )
  assert.equal(names('staging'), [...secrets, ...backups])
  assert.equal(names('production'), [...secrets, 'variable ATTESTATIONS?', ...backups])
  assert.equal(names('images'), ['secret KGC_READ_TOKEN', 'variable KGC_REPOSITORY?'])
  const kubeconfig = listWorkflowSettings(box.root, 'staging').find(
    one => one.name === 'KUBECONFIG',
  )
  assert.equal(kubeconfig!.files, ['deploy-staging.yml', 'rollback.yml'])
})

test('an environment that is not there: the command that makes it, then those that fill it, with no value among them', async () => {
  lists = { environments: [], 'actions/secrets': [], 'actions/variables': [] }
  const { code, stdout, stderr } = await github(['staging'], {}, true)
  assert.is(code, 2)
  assert.equal(
    [state(stdout, 'KUBECONFIG'), state(stdout, 'DISCORD_WEBHOOK_URL')],
    ['missing', 'not set; optional'],
  )
  const commands = /EVIDENCE\n([^]*?)\n  NEXT/
    .exec(stderr)![1]!
    .split('\n')
    .map(line => line.trim())
  assert.equal(commands, [
    'gh api --method PUT repos/kgc/stack/environments/staging',
    'gh secret set KUBECONFIG --env staging --repo kgc/stack < FILE',
    "sed -n 's/^SLACK_WEBHOOK_URL=//p' infra/docker/.env.staging | tr -d '\\n' | gh secret set SLACK_WEBHOOK_URL --env staging --repo kgc/stack",
  ])
  assert.ok(
    asked.every(line => line.startsWith('GET ')),
    'it only reads',
  )
})

test('the command takes exactly the value out of the env file', async () => {
  const { stdout } = await github(['staging', '--json'])
  const line: string = JSON.parse(
    stdout
      .trim()
      .split('\n')
      .findLast(line => line.includes('"result"'))!,
  ).commands.at(-1)
  const child = spawn('bash', ['-c', line.replace(/gh .*/, 'cat')], { cwd: box.root })
  let text = ''
  for await (const piece of child.stdout) text += String(piece)
  assert.is(text, hook)
})

test('set, too many, and what the whole repository has', async () => {
  lists = {
    environments: ['production', 'staging'],
    'environments/staging/secrets': ['KUBECONFIG', 'OLD_PASSWORD'],
    'environments/staging/variables': ['OLD_NAME'],
    'actions/secrets': ['DISCORD_WEBHOOK_URL'],
    'actions/variables': [],
  }
  const { code, stdout } = await github(['staging'])
  assert.is(code, 0)
  assert.is(state(stdout, 'KUBECONFIG'), 'set')
  assert.match(state(stdout, 'DISCORD_WEBHOOK_URL')!, 'whole repository')
  assert.is(state(stdout, 'OLD_PASSWORD'), 'no workflow uses it')
  assert.match(
    stdout,
    'gh secret delete OLD_PASSWORD --env staging --repo kgc/stack\ngh variable delete OLD_NAME --env staging',
  )
})

test('no such environment, no token, a token that may not, GitHub away', async () => {
  const unknown = await github(['moon'])
  assert.is(unknown.code, 2)
  assert.match(unknown.stderr, 'there are images, production, production-approval, staging')
  const none = await github(['staging'], {
    GITHUB_TOKEN: '',
    GH_TOKEN: '',
    PATH: '/usr/bin:/bin',
    GH_CONFIG_DIR: box.root,
  })
  assert.equal([none.code, /there is no token/.test(none.stderr)], [3, true], none.stderr)
  refuse = 403
  const forbidden = await github(['staging'])
  refuse = 0
  assert.is(forbidden.code, 3)
  assert.match(forbidden.stderr, /answered 403.*to read environments, secrets and variables/)
  const away = await github(['staging'], { GITHUB_API_URL: 'http://127.0.0.1:9' })
  assert.is(away.code, 3)
  assert.match(away.stderr, /cannot be reached.*\n.*\n.*The workflows use: .*KUBECONFIG/)
})

test.run()
