// Deploys while what they need is away: the API server, the registry, the people's webhook. Ways of
// their own are cut, so nobody else notices.
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { startProxy } from '../cuttable-proxy.ts'
import { createTestEnvironment, type TestEnvironment } from './test-environment.ts'

const test = suite('outage')
const slow = ['sh', '-c', 'sleep 6; exec redis-server --save ""']

/** A deploy that has lost its API server for 20 s when it said `line`. */
async function withoutServer(here: TestEnvironment, line: RegExp) {
  const config = readFileSync(join(here.box.root, 'kubeconfig'), 'utf8')
  const [, port] = /"server":"https:\/\/127\.0\.0\.1:(\d+)"/.exec(config)!
  const { port: own, cut, close } = await startProxy(Number(port))
  const file = join(here.box.root, 'kubeconfig-way')
  writeFileSync(file, config.replace(`127.0.0.1:${port}`, `127.0.0.1:${own}`), { mode: 0o600 })
  const deploy = here.start(['deploy', 'test'], { KUBECONFIG: file })
  await deploy.line(line)
  cut('closed')
  setTimeout(cut, 10_000, 'silent')
  let back = 0
  const reopen = () => {
    back = Date.now()
    cut(undefined)
  }
  setTimeout(reopen, 20_000)
  const code = await deploy.code
  close()
  return { code, said: deploy.said(), went: back > 0 && Date.now() > back }
}

/**
 * A server of this machine that answers so; `silent` never does. Returns its host, and what it was
 * asked.
 */
async function answering(how: number | 'silent') {
  const asked: string[] = []
  const server = createServer((request, answer) => {
    asked.push(request.url!)
    if (how !== 'silent') answer.writeHead(how).end()
  })
  await new Promise<void>(done => server.listen(0, '127.0.0.1', done).unref())
  return { host: `127.0.0.1:${(server.address() as AddressInfo).port}`, asked }
}

/** Seconds that each step of a deploy took. */
const seconds = (events: Record<string, any>[]): Record<string, number> =>
  Object.fromEntries(
    events.flatMap(({ name, ms }) => (ms === undefined ? [] : [[name, ms / 1000]])),
  )
const good = async (here: TestEnvironment) => {
  const first = here.start(['deploy', 'test', '--json'])
  assert.is(await first.code, 0, first.said())
  return seconds(first.events())
}
const parts = {
  applying: createTestEnvironment('kgc-t-away1'),
  watching: createTestEnvironment('kgc-t-away2'),
  asking: createTestEnvironment('kgc-t-away3'),
  smoking: createTestEnvironment('kgc-t-away4'),
}
const begun = Object.fromEntries(Object.entries(parts).map(([name, here]) => [name, good(here)]))
const away = (name: 'applying' | 'watching' | 'smoking', line: RegExp) =>
  begun[name]!.then(() => {
    parts[name].write({ command: slow, config: { A: 'new' }, migrate: 'echo new' })
    return withoutServer(parts[name], line)
  })
const runs = {
  applying: away('applying', /^ {2}data: /m),
  watching: away('watching', /▶ Watch/),
  smoking: away('smoking', /▶ Smoke/),
}
for (const one of Object.values(runs)) one.catch(() => {})

test('the registry is down, or silent, or in trouble: refused in words, nothing is touched', async () => {
  await begun.asking
  const here = parts.asking
  const before = here.generations()
  const nobody = await startProxy(1)
  nobody.cut('closed')
  const cases: [string, RegExp][] = [
    [`127.0.0.1:${nobody.port}`, /cannot be reached \(\w+\)/],
    [(await answering('silent')).host, /does not answer within 10 s/],
    [(await answering(500)).host, /answers 500/],
  ]
  for (const [host, words] of cases) {
    here.write({ image: `${host}/kgc-demo/redis:8` })
    const deploy = here.start(['deploy', 'test'])
    assert.is(await deploy.code, 3, deploy.said())
    assert.match(deploy.said(), words)
    assert.match(deploy.said(), host)
    assert.match(deploy.said(), 'nothing was touched')
  }
  assert.equal(here.generations(), before)
})

test('a webhook that hangs, or fails, costs a warning and 10 s at the end', async () => {
  const here = parts.asking
  const bare = await begun.asking!
  for (const how of ['silent', 500] as const) {
    const { host, asked } = await answering(how)
    here.write({ config: { A: String(how) } })
    const deploy = here.start(['deploy', 'test', '--json'], {
      SLACK_WEBHOOK_URL: `http://${host}/services/T0/B0/not-to-be-seen-anywhere`,
    })
    assert.is(await deploy.code, 0, deploy.said())
    const { Lock, Record } = seconds(deploy.events()) as { Lock: number; Record: number }
    console.log(
      `webhook ${how}: Lock ${Lock.toFixed(1)} s, Record ${Record.toFixed(1)} s (${bare.Lock!.toFixed(1)}, ${bare.Record!.toFixed(1)} s without)`,
    )
    assert.match(deploy.said(), how === 'silent' ? /Slack did not answer in/ : /Slack answered 500/)
    assert.not.match(deploy.said(), 'not-to-be-seen-anywhere')
    assert.ok(asked.length, 'it was asked')
    // twice the work, for what else the machine may do
    assert.ok(Lock < 6 + 2 * bare.Lock!, 'nobody waits for the first message')
    assert.ok(Record < 12 + 2 * bare.Record!, 'nor for the last one longer than 10 s')
  }
})

for (const name of ['applying', 'watching', 'smoking'] as const)
  test(`the API server is away for 20 s while it is ${name}: it waits, and ends well`, async () => {
    const { code, said, went } = await runs[name]
    assert.is(code, 0, said)
    assert.ok(went, 'it came to its end after that')
    // kubectl tries for a while itself before it says anything of an apply
    if (name === 'watching')
      assert.match(said, /the API server does not answer[^]*the API server answers again/)
    assert.is(parts[name].releases().at(-1)!.ending, 'succeeded')
    assert.is(parts[name].get('lease', 'kgc-deploy').spec.holderIdentity, undefined)
  })

test.run()
