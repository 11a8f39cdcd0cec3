// A job that is cancelled as GitHub does it: SIGINT to the step's first process, SIGTERM 7.5 s later, and after 2.5 s more all that is left is killed.
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { gitHubStandIn } from '../../github.ts'
import { until } from '../cluster.ts'
import { stand } from './stand.ts'

const test = suite('cancelled deploy')
const { box, env, write, get, releases, start } = stand('kgc-t-cancel')
const github = await gitHubStandIn()
const summary = join(box.root, 'summary.md')
const step = { ...process.env, ...env, ...github.env, GITHUB_RUN_ID: '5', GITHUB_SERVER_URL: 'https://github.com', GITHUB_STEP_SUMMARY: summary }
const slow = ['sh', '-c', 'sleep 4; exec redis-server --save ""']
const states = () => github.deployments.map(({ id }) => github.states(id))
const holder = () => get('lease', 'kgc-deploy').spec.holderIdentity

/** GitHub records deployments of commits. */
function commit(shape: Parameters<typeof write>[0]): string {
  write(shape)
  const git = (...argv: string[]) => execFileSync('git', ['-c', 'user.name=test', '-c', 'user.email=test@x.hu', ...argv], { cwd: box.root, encoding: 'utf8' })
  git('init', '--quiet')
  git('add', 'infra', 'scripts')
  git('commit', '--quiet', '--allow-empty', '--message', 'change')
  return git('rev-parse', 'HEAD').trim()
}

const processes = () =>
  spawnSync('ps', ['-Ao', 'pid=,ppid='], { encoding: 'utf8' }).stdout.trim().split('\n').map(line => line.trim().split(/\s+/).map(Number) as [number, number])
function family(pid: number): number[] {
  const all = processes()
  const found = [pid]
  for (const parent of found) found.push(...all.filter(([, ppid]) => ppid === parent).map(([child]) => child))
  return found
}
const alive = (pids: number[]) => processes().map(([pid]) => pid).filter(pid => pids.includes(pid))

/** Runs a step as the runner does, cancels it in a phase, and tells what came of it. */
async function cancel(script: string, phase: RegExp) {
  const file = join(box.root, 'step.sh')
  writeFileSync(file, script)
  const child = spawn('bash', ['-e', file], { cwd: box.root, env: step, stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  child.stderr.on('data', data => (said += data))
  const ended = new Promise<number | null>(done => child.once('exit', done))
  await until(`phase ${phase}`, 60, () => phase.test(said))
  const all = family(child.pid!)
  const begun = Date.now()
  child.kill('SIGINT')
  const timers = [setTimeout(() => child.kill('SIGTERM'), 7500)]
  const late = new Promise<void>(done => timers.push(setTimeout(() => (alive(all).forEach(pid => process.kill(pid, 'SIGKILL')), done()), 10_000)))
  const code = await ended
  const ms = Date.now() - begun
  const left = alive(all)
  if (left.length) await late
  timers.forEach(clearTimeout)
  return { code, ms, left, said }
}

const deploy = async () => {
  const run = start(['deploy', 'test'], step as Record<string, string>)
  return { code: await run.code, said: run.said() }
}

test('a deploy that is left alone: GitHub has its commit, its images and that it succeeded', async () => {
  const sha = commit({})
  const { code, said } = await deploy()
  assert.is(code, 0, said)
  const [one] = github.deployments
  assert.equal([one!.sha, one!.environment, github.states()], [sha, 'test', ['in_progress', 'success']])
  const { by, verb, release, images } = one!.payload as Record<string, any>
  assert.equal([by, verb, release], ['kgc-stack', 'deploy', 1])
  assert.match(images['127.0.0.1:5001/kgc-demo/redis:8'], /^sha256:[0-9a-f]{64}$/)
  assert.equal(one!.statuses.map(({ description, log_url }) => [description, log_url]), [
    ['release 1: deploy', 'https://github.com/kgc/stack/actions/runs/5'],
    ['release 1 serves', 'https://github.com/kgc/stack/actions/runs/5'],
  ])
})

test('nothing to do makes no deployment, but for a commit that GitHub does not know yet', async () => {
  assert.is((await deploy()).code, 0)
  assert.is(github.deployments.length, 1)
  const sha = commit({})
  assert.match((await deploy()).said, 'Nothing to do')
  assert.equal([github.deployments.length, github.deployments[1]!.sha, github.states()], [2, sha, ['in_progress', 'success']])
})

test('cancelled while it watches: lock free, children gone, GitHub told, all long before SIGTERM; the rerun converges', async () => {
  commit({ command: slow, config: { A: 'new' } })
  const { code, ms, left, said } = await cancel('exec node --import=tsx scripts/deploy.ts test --json > deploy.ndjson\n', /▶ Watch/)
  assert.is(code, 130, said)
  assert.ok(ms < 4000, `${ms} ms`)
  assert.equal(left, [])
  assert.is(holder(), undefined)
  assert.is(releases().at(-1)!.ending, 'interrupted')
  assert.equal(github.states(), ['in_progress', 'error'])
  assert.is(github.deployments.at(-1)!.statuses.at(-1)!.description, 'interrupted in phase watch')
  assert.not.match(said + readFileSync(join(box.root, 'deploy.ndjson'), 'utf8'), github.token)
  const again = await deploy()
  assert.is(again.code, 0, again.said)
  assert.equal(states().slice(2), [['in_progress', 'error'], ['in_progress', 'success']])
})

// why every step says `exec`: a shell (and npx) waits for its child and passes no signal on
test('without exec nothing arrives, and all is killed; the rerun still converges, and ends what was left at GitHub', async () => {
  commit({ command: slow, config: { A: 'newer' } })
  const { left, said } = await cancel('node --import=tsx scripts/deploy.ts test\necho done\n', /▶ (Watch|Apply)/)
  assert.ok(left.length > 0, said)
  assert.equal(github.states(), ['in_progress'])
  const again = await deploy()
  assert.is(again.code, 0, again.said)
  assert.equal(states().slice(4).map(list => list.filter(state => state !== 'inactive')), [['in_progress', 'error'], ['in_progress', 'success']])
})

test.run()
