// The demo overlay by deploy.ts, with clients that keep asking through Traefik while it is rolled,
// and while a bad version fails and goes back.
// Its generated secrets must be seen nowhere.
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { parse } from 'dotenv'
import { edgeAt } from '../../../scripts/lib/smoke/edge.ts'
import { parseExample } from '../../../scripts/lib/env/example.ts'
import { table } from '../../../scripts/lib/report.ts'
import { beforeAll } from '../../hooks.ts'
import { waitUntil } from '../../until.ts'
import { clusterEnv, get, kubectl } from '../cluster.ts'
import { box, domain, here, prepare } from './environment.ts'

type Json = Record<string, any>
const test = suite('traffic')
const said: string[] = []

/** Deploys as an account with the deployer's rights; the clients go on meanwhile. */
async function deploy(): Promise<{ code: number | null; text: string; ms: number }> {
  const start = Date.now()
  const deploy = box.start(['deploy', 'demo', '--json'], {
    ...clusterEnv,
    KUBECONFIG: join(box.root, 'kubeconfig'),
    CI: '',
    GITHUB_ACTIONS: '',
  })
  const [code, text] = [await deploy.code, deploy.said()]
  said.push(text)
  return { code, text, ms: Date.now() - start }
}

/** Changes a file of the copy; the function that is returned puts it back. */
function change(file: string, edit: (text: string) => string) {
  const path = join(box.root, 'infra/k8s', file)
  const old = readFileSync(path, 'utf8')
  if (edit(old) === old) throw new Error(`${file} is not what it was`)
  writeFileSync(path, edit(old))
  return () => writeFileSync(path, old)
}

const edge = edgeAt({ https: '127.0.0.1:18443', http: '127.0.0.1:18080' }, false)
const at = (host: string, path: string) => `https://${host}.${domain}:18443${path}`
const addresses = {
  'KGC web': at('app', '/'),
  'KGC api': at('api', '/api/v1/health'),
  'Chatwoot web': at('support', '/api'),
  'Horilla web': at('hr', '/login/'),
  Twenty: at('crm', '/healthz'),
}

interface Client {
  asked: number
  /** What was answered otherwise than by 200, or not. */
  lost: string[]
  /** ms, the longest time without a good answer. */
  gap: number
}

/**
 * Five requests a second each, until it is told to stop; the first ones are good before the work
 * begins.
 */
async function whileAsking(work: () => Promise<unknown>): Promise<Record<string, Client>> {
  let over = false
  const one = async (url: string): Promise<Client> => {
    const client: Client = { asked: 0, lost: [], gap: 0 }
    const open = new Set<Promise<void>>()
    let good = Date.now()
    const ask = async () => {
      const why = await edge.get(url, { timeout: 10_000 }).then(
        ({ status }) => (status === 200 ? '' : String(status)),
        error => (error as Error).message,
      )
      if (why) client.lost.push(`${new Date().toISOString().slice(11, 19)} ${why}`)
      else [client.gap, good] = [Math.max(client.gap, Date.now() - good), Date.now()]
    }
    while (!over) {
      client.asked++
      const asked: Promise<void> = ask().finally(() => open.delete(asked))
      open.add(asked)
      await new Promise(done => setTimeout(done, 200))
    }
    await Promise.all(open)
    return client
  }
  const clients = Object.entries(addresses).map(([name, url]) =>
    one(url).then(client => [name, client] as const),
  )
  await work().finally(() => (over = true))
  return Object.fromEntries(await Promise.all(clients))
}

const measured: string[][] = [['', 'requests', 'lost', 'longest time without an answer']]
function show(what: string, clients: Record<string, Client>) {
  for (const [name, { asked, lost, gap }] of Object.entries(clients))
    measured.push([
      `${what}: ${name}`,
      String(asked),
      String(lost.length),
      `${(gap / 1000).toFixed(1)} s`,
    ])
}
function nothingLost(clients: Record<string, Client>, ...except: string[]) {
  for (const [name, { lost, asked }] of Object.entries(clients)) {
    assert.ok(asked > 50, `${name} was asked ${asked} times`)
    if (!except.includes(name)) assert.equal(lost, [], name)
  }
}

beforeAll(test, prepare)
test.after(() => console.log(table(measured)))

test('deploy.ts brings the demo up from nothing, with the rights of a deployer', async () => {
  const { code, text, ms } = await deploy()
  assert.is(code, 0, text)
  console.log(`from nothing: ${(ms / 1000).toFixed(1)} s`)
  // as `admin.ts` does; no later deploy takes it away
  kubectl(['label', 'ingress', 'twenty', 'chatwoot', 'horilla', 'kgc.hu/door=open', ...here])
  const answers = async (url: string) => (await edge.get(url, { timeout: 5_000 })).status === 200
  for (const [name, url] of Object.entries(addresses))
    await waitUntil(`${name} through the edge`, 30, () => answers(url))
})

test('a good rollout of KGC, Chatwoot, Horilla and Twenty: no request is lost but of Twenty, of which there may be one only', async () => {
  for (const one of ['kgc', 'chatwoot', 'horilla-hr', 'twenty-crm'])
    change(`base/${one}/config.env`, text => `${text}ROLLED=1\n`)
  const labels = 'labels: { app.kubernetes.io/name: kgc-web }'
  change('base/kgc/web.yaml', text =>
    text.replace(
      `metadata: { ${labels} }`,
      `metadata: { ${labels}, annotations: { rolled: "1" } }`,
    ),
  )
  let done = { code: null as number | null, text: '', ms: 0 }
  const clients = await whileAsking(async () => (done = await deploy()))
  assert.is(done.code, 0, done.text)
  for (const one of ['kgc-web', 'kgc-api', 'chatwoot-web', 'horilla-web', 'twenty-server'])
    assert.match(done.text, new RegExp(`changed: .*${one}`))
  console.log(`rolled: ${(done.ms / 1000).toFixed(1)} s`)
  show('good rollout', clients)
  nothingLost(clients, 'Twenty')
})

test('a bad version of KGC, Chatwoot and Horilla fails and goes back: no request is lost', async () => {
  const good = ['kgc', 'chatwoot', 'horilla-hr'].map(one =>
    change(`base/${one}/config.env`, text => `${text}STANDIN_FAULT=crash\n`),
  )
  good.push(
    change('base/kgc/web.yaml', text =>
      text.replace(
        'httpGet: { path: /, port: http }',
        'httpGet: { path: /nothing-is-here, port: http }',
      ),
    ),
  )
  let done = { code: null as number | null, text: '', ms: 0 }
  const clients = await whileAsking(async () => (done = await deploy()))
  for (const back of good) back()
  assert.is(done.code, 5, done.text)
  assert.match(done.text, 'release 2 serves again and passed the smoke test')
  console.log(`failed and restored: ${(done.ms / 1000).toFixed(1)} s`)
  show('failed rollout', clients)
  nothingLost(clients)
})

test('none of the generated secrets is in an output, a record or the lock', () => {
  const folders = readdirSync(box.docker)
    .map(name => join(box.docker, name))
    .filter(folder => existsSync(join(folder, '.env.demo')))
  const values = [box.docker, ...folders].flatMap(folder => {
    const example = readFileSync(
      join(folder === box.docker ? box.root : folder, '.env.example'),
      'utf8',
    )
    const set = parse(readFileSync(join(folder, '.env.demo')))
    return parseExample(example).flatMap(({ key, secret }) =>
      secret && (set[key] ?? '').length >= 6 ? [[key, set[key]!] as const] : [],
    )
  })
  assert.ok(values.length >= 12, `${values.length} secrets`)
  const maps = get('configmaps', '--selector', 'kgc.hu/release', ...here).items as Json[]
  const manifests = maps.map(({ binaryData }) =>
    gunzipSync(Buffer.from(binaryData.manifests, 'base64')).toString(),
  )
  const seen = [...said, ...manifests, JSON.stringify([maps, get('lease', 'kgc-deploy', ...here)])]
  for (const [key, value] of values)
    for (const form of [value, Buffer.from(value).toString('base64')])
      assert.not.ok(
        seen.some(text => text.includes(form)),
        key,
      )
})

test.run()
