// What smoke makes of what its checks find.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import {
  toRunnableCheck,
  loadAppModules,
  type SmokeCheck,
  type SmokeContext,
} from '../../scripts/lib/smoke/checks.ts'
import { countOutcomes, failedChecks, skippedChecks } from '../../scripts/lib/smoke/outcome.ts'
import { fakes } from '../fakes.ts'
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

test('smoke of an environment without env files here: what was not asked stands apart, and is no failure', () => {
  const box = sandbox()
  // nobody listens there
  writeFileSync(
    join(box.root, 'infra/k8s/overlays/demo/environment.yaml'),
    'disposable: true\nedge: { https: "127.0.0.1:9", http: "127.0.0.1:9" }\n',
  )
  const { bin, env, answer } = fakes(['kubectl'])
  answer([
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
  const { code, stdout, stderr } = box.script(argv, {
    env: { ...env, PATH: `${bin}:${process.env.PATH}`, KUBECONFIG: kubeconfigOf('any') },
  })
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
  assert.match(stderr, `${failed.length} of ${failed.length} checks failed`)
})

test.run()
