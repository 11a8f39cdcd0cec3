// A job that is cancelled as GitHub does it: SIGINT to the step's first process, SIGTERM 7.5 s
// later, and after 2.5 s more all that is left is killed.
import { spawn, spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { standAtGitHub } from './github-environment.ts'
import { waitUntil } from '../../until.ts'

const test = suite('cancelled deploy')
const { box, commit, deploy, get, github, releases, step } = await standAtGitHub('kgc-t-cancel')
/** Takes longer to start than a cancelled job has left. */
const slow = ['sh', '-c', 'sleep 12; exec redis-server --save ""']
const states = () =>
  github.deployments.map(({ id }) => github.states(id).filter(state => state !== 'inactive'))
const holder = () => get('lease', 'kgc-deploy').spec.holderIdentity

/** All that run; what has ended and waits for init to notice does not. */
const processes = () =>
  spawnSync('ps', ['-Ao', 'pid=,ppid=,stat='], { encoding: 'utf8' })
    .stdout.trim()
    .split('\n')
    .filter(line => !/ Z\S*$/.test(line))
    .map(line => line.trim().split(/\s+/).map(Number) as [number, number])
function family(pid: number): number[] {
  const all = processes()
  const found = [pid]
  for (const parent of found)
    found.push(...all.filter(([, ppid]) => ppid === parent).map(([child]) => child))
  return found
}
const alive = (pids: number[]) =>
  processes()
    .map(([pid]) => pid)
    .filter(pid => pids.includes(pid))

/** Runs a step as the runner does, cancels it in a phase, and tells what came of it. */
async function cancel(script: string, phase: RegExp) {
  const file = join(box.root, 'step.sh')
  writeFileSync(file, script)
  const child = spawn('bash', ['-e', file], {
    cwd: box.root,
    env: { ...process.env, ...step },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let said = ''
  child.stderr.on('data', data => (said += data))
  const ended = new Promise<number | null>(done => child.once('exit', done))
  await waitUntil(`phase ${phase}`, 60, () => phase.test(said), 100)
  const all = family(child.pid!)
  const begun = Date.now()
  child.kill('SIGINT')
  const timers = [setTimeout(() => child.kill('SIGTERM'), 7500)]
  const late = new Promise<void>(done => {
    const kill = () => {
      alive(all).forEach(pid => process.kill(pid, 'SIGKILL'))
      done()
    }
    timers.push(setTimeout(kill, 10_000))
  })
  const code = await ended
  const ms = Date.now() - begun
  const left = alive(all)
  if (left.length) await late
  timers.forEach(clearTimeout)
  return { code, ms, left, said }
}

test('cancelled while it watches: lock free, children gone, GitHub told, all long before SIGTERM; the rerun converges', async () => {
  commit()
  const first = await deploy()
  assert.is(first.code, 0, first.said)
  commit({ command: slow, config: { A: 'new' } })
  const { code, ms, left, said } = await cancel(
    'exec node --import=tsx scripts/deploy.ts test --json > deploy.ndjson\n',
    /▶ Watch/,
  )
  assert.is(code, 130, said)
  assert.ok(ms < 4000, `${ms} ms`)
  assert.equal(left, [])
  assert.is(holder(), undefined)
  assert.is(releases().at(-1)!.ending, 'interrupted')
  assert.equal(github.states(), ['in_progress', 'error'])
  const { description } = github.deployments.at(-1)!.statuses.at(-1)!
  assert.match(description, /^interrupted in step watch; in place: .* of release 2/)
  assert.match(said, /^ {2}NOW {3}in place: .* of release 2; all else of release 1$/m)
  assert.not.match(said + readFileSync(join(box.root, 'deploy.ndjson'), 'utf8'), github.token)
  assert.match(
    readFileSync(step.GITHUB_STEP_SUMMARY!, 'utf8'),
    '| Result | interrupted (exit code 130) |',
  )
  const again = await deploy()
  assert.is(again.code, 0, again.said)
  assert.equal(states().slice(1), [
    ['in_progress', 'error'],
    ['in_progress', 'success'],
  ])
})

// why every step says `exec`: a shell (and npx) waits for its child and passes no signal on
test('without exec nothing arrives, and all is killed; the rerun still converges, and ends what was left at GitHub', async () => {
  commit({ command: slow, config: { A: 'newer' } })
  const { left, said } = await cancel(
    'node --import=tsx scripts/deploy.ts test\necho done\n',
    /▶ (Watch|Apply)/,
  )
  assert.ok(left.length > 0, said)
  assert.equal(github.states(), ['in_progress'])
  const again = await deploy()
  assert.is(again.code, 0, again.said)
  assert.equal(states().slice(3), [
    ['in_progress', 'error'],
    ['in_progress', 'success'],
  ])
})

test.run()
