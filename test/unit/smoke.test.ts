// What smoke makes of what its checks find.
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { databaseChecks } from '../../scripts/lib/smoke/database.ts'
import { loadAppModules } from '../../scripts/lib/smoke/app-modules.ts'
import {
  commandFailed,
  toRunnableCheck,
  type SmokeCheck,
  type SmokeContext,
} from '../../scripts/lib/smoke/checks.ts'
import { countOutcomes, failedChecks, skippedChecks } from '../../scripts/lib/smoke/outcome.ts'
import { fakes, type Reply } from '../fakes.ts'
import { sandbox } from '../sandbox.ts'
import { kubeconfigOf } from './fake-kubectl.ts'

const test = suite('smoke')
const context = (env: Record<string, string>) => ({ env }) as SmokeContext

test('a check without the login that it needs is not asked, and has neither passed nor failed', async () => {
  const check: SmokeCheck = { name: 'x', needs: ['USER', 'PASSWORD'], run: async () => 'in' }
  const ask = (env: Record<string, string>) =>
    toRunnableCheck('x', check, context(env), 'infra/docker/.env.demo').ask(1000)
  const without = await ask({ USER: 'a', PASSWORD: '' })
  assert.equal(without, {
    name: 'x',
    ok: null,
    detail: 'not asked: PASSWORD not set in infra/docker/.env.demo',
    ms: 0,
  })
  assert.is((await ask({ USER: 'a', PASSWORD: 'b' })).ok, true)
  const all = [
    without,
    { name: 'y', ok: true, detail: '', ms: 0 },
    { name: 'z', ok: false, detail: '', ms: 0 },
  ]
  assert.equal(
    [
      countOutcomes(all),
      failedChecks(all).map(({ name }) => name),
      skippedChecks(all).map(({ name }) => name),
    ],
    ['1 of 2 checks passed, 1 not asked', ['z'], ['x']],
  )
  assert.is(countOutcomes(all.slice(1)), '1 of 2 checks passed')
})

test('twentyhq/twenty#17956, #13245: a mail that Twenty would write to its log is no mail', async () => {
  const { sendMail } = await import('../../infra/docker/twenty-crm/smoke.ts')
  const send = (driver: string) =>
    sendMail(
      {
        exec: async (_: string, [command = '', ...argv]: string[]) => {
          const env = { PATH: process.env.PATH, EMAIL_DRIVER: driver }
          const { status, stdout, stderr } = spawnSync(command, argv, { env, encoding: 'utf8' })
          if (status !== 0)
            throw commandFailed(command, 'twenty-worker', { code: 1, stdout, stderr, ms: 0 })
          return stdout
        },
      } as unknown as SmokeContext,
      'a@kgc.hu',
    ).then(
      () => 'sent',
      (error: Error) => error.message,
    )
  assert.match(await send('logger'), 'EMAIL_DRIVER is logger: Twenty writes its mail to its log')
  assert.match(await send('logger'), 'TWENTY_EMAIL_DRIVER=smtp')
  assert.match(await send('smtp'), 'EMAIL_SMTP_HOST is empty')
})

test('zammad/zammad#648: of a command that failed the cause is shown, not the end of its stack trace', () => {
  const { message } = commandFailed('bundle', 'web', {
    code: 1,
    stdout: '',
    stderr: `KGC failed: wrong version number\n    at connect (mail.mjs:1:2)\n    at process.processTicksAndRejections (node:internal)\n\nNode.js v20.20.2\n`,
    ms: 0,
  })
  assert.is(message, 'bundle in web ended with 1: KGC failed: wrong version number')
})

test('chatwoot/chatwoot#7869: with SMTP_TLS Chatwoot speaks TLS from the first byte, else it waits for a greeting', async () => {
  // @ts-ignore: a program of the stand-in, without types
  const { sendMail } = await import('../../infra/demo/standin/apps/chatwoot/mail.mjs')
  const first = async (SMTP_TLS: string) => {
    let end = (_: string) => {}
    const heard = new Promise<string>(done => (end = done))
    const server = createServer(socket => {
      socket.on('error', () => {})
      if (SMTP_TLS !== 'true') socket.write('220 hello\r\n')
      socket.once('data', data => {
        end(data[0] === 0x16 ? 'TLS' : `${data}`)
        socket.destroy()
      })
    }).listen(0, '127.0.0.1')
    await new Promise(done => server.once('listening', done))
    const SMTP_PORT = String((server.address() as AddressInfo).port)
    const env = { SMTP_ADDRESS: '127.0.0.1', SMTP_PORT, SMTP_TLS, SMTP_DOMAIN: 'kgc.hu' }
    await sendMail({ to: 'a@kgc.hu', subject: '', body: '' }, env).catch(() => {})
    server.close()
    return heard
  }
  assert.is(await first('true'), 'TLS')
  assert.is(await first('false'), 'EHLO kgc.hu\r\n')
})

test('windmill-labs/windmill#9722: a database that answers and takes no writes is no database that works', async () => {
  const check = databaseChecks('kgc-db').find(({ name }) => name === 'its database takes writes')!
  const run = (rows: string) => check.run({ exec: async () => rows } as unknown as SmokeContext)
  assert.is(await run('f|off\n'), 'yes')
  for (const [rows, why] of [
    ['t|off', /standby/],
    ['f|on', /read only/],
  ] as const) {
    const error = await Promise.resolve(run(rows)).catch((error: Error) => error)
    assert.match((error as Error).message, why)
  }
})

test('every check says which logins it needs', async () => {
  for (const { folder, checks } of await loadAppModules<{ checks: SmokeCheck[] }>('smoke.ts'))
    for (const { name, needs = [], run } of checks) {
      const read = new Set<string>()
      const env = new Proxy({}, { get: (_, key) => void read.add(String(key)) })
      const deaf = async () => Promise.reject(new Error('nobody answers'))
      // eventually() waits for seconds: what is read is read before
      const played = {
        env,
        address: (name: string) => `https://${name}.invalid`,
        edge: { get: deaf, websocket: deaf },
        exec: deaf,
        logs: deaf,
        logCommand: () => '',
        disposable: true,
      }
      await Promise.race([
        run(played as unknown as SmokeContext).catch(() => {}),
        new Promise(done => setTimeout(done, 200)),
      ])
      assert.equal(
        [...read].filter(
          key => /EMAIL|USER|PASSWORD|SECRET|TOKEN|KEY/.test(key) && !needs.includes(key),
        ),
        [],
        `${folder}: ${name}`,
      )
    }
})

const policiesCall = / get networkpolicies /
/** Smoke of Horilla in the demo's environment, which has a pod and no edge; `replies` come before. */
function smokeEnvironment(replies: Reply[] = []) {
  const box = sandbox()
  // nobody listens there
  writeFileSync(
    join(box.root, 'infra/k8s/overlays/demo/environment.yaml'),
    'disposable: true\nedge: { https: "127.0.0.1:9", http: "127.0.0.1:9" }\n',
  )
  const { bin, env, answer } = fakes(['kubectl'])
  answer([
    ...replies,
    { call: / kustomize /, stdout: 'played' },
    {
      call: /patch --local/,
      stdout: JSON.stringify({
        kind: 'ConfigMap',
        metadata: { name: 'stack' },
        data: { DOMAIN: 'kgc.invalid' },
      }),
    },
    {
      call: / get /,
      stdout: JSON.stringify({ items: [{ kind: 'Pod', metadata: { name: 'a' }, status: {} }] }),
    },
  ])
  const argv = ['smoke', 'demo', '--target', 'kubernetes', '--only', 'horilla-hr', '--json']
  return box.script(argv, {
    env: { ...env, PATH: `${bin}:${process.env.PATH}`, KUBECONFIG: kubeconfigOf('any') },
  })
}

test('smoke of an environment without env files here: what was not asked stands apart, and is no failure', () => {
  // nor may it read whether a restore holds it back
  const { code, stdout, stderr } = smokeEnvironment([{ call: policiesCall, code: 1 }])
  const events = stdout
    .trim()
    .split('\n')
    .map(line => JSON.parse(line) as Record<string, any>)
  const name = "horilla-hr: KGC's service user logs in to the API and lists the employees"
  const { checks, failed, notAsked } = events.find(({ event }) => event === 'result')!
  assert.equal([code, notAsked, failed.length], [6, [name], checks - 1])
  assert.is(events.find(one => one.name === name)!.ok, null)
  assert.match(
    stderr,
    `⚠ ${name}: not asked: KGC_HORILLA_USERNAME, KGC_HORILLA_PASSWORD not set in infra/docker/.env.demo`,
  )
  assert.match(stderr, `${failed.length} of ${failed.length} checks failed\n`)
  assert.match(stderr, /NEXT .*bootstrap\.ts --doctor --cluster --environment demo\n/)
})

test('smoke of an environment that a restore holds back names what lets it out', () => {
  const metadata = { name: 'kgc-api', annotations: { 'kgc.hu/egress-before-restore': '[]' } }
  const policies = { items: [{ kind: 'NetworkPolicy', metadata }] }
  const stdout = JSON.stringify(policies)
  const { code, stderr } = smokeEnvironment([{ call: policiesCall, stdout }])
  assert.is(code, 6)
  assert.match(stderr, / checks failed: it is held back by a restore\n/)
  assert.match(stderr, /NEXT .*restore\.ts --go-live demo --target kubernetes\n/)
})

test.run()
