// The order in which test files run, and what becomes of a program of a test run that ends, says
// nothing, or takes too long.
import { spawn, spawnSync } from 'node:child_process'
import { closeSync, cpSync, existsSync, mkdtempSync, openSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { lane, type Job } from '../lanes.ts'
import { memoryFolder } from '../memory.ts'
import { readTypeScript } from '../node.ts'
import { execute, words } from '../process.ts'
import { waitUntil } from '../until.ts'

const test = suite('lanes')

/** Runs jobs of one tick each; the sets that ran at the same time. */
async function together(jobs: Job[], width: number, room?: Promise<unknown>): Promise<string[]> {
  const running = new Set<string>()
  const seen: string[] = []
  await lane(
    jobs,
    width,
    async ({ name }) => {
      running.add(name)
      await new Promise(done => setImmediate(done))
      seen.push([...running].join('+'))
      await new Promise(done => setImmediate(done))
      running.delete(name)
    },
    room,
  )
  return [...new Set(seen)]
}

test('no more than its width at once, in order', async () => {
  assert.equal(
    await together(
      ['a', 'b', 'c'].map(name => ({ name })),
      2,
    ),
    ['a+b', 'c'],
  )
})

test('what runs alone goes first, then what is long', async () => {
  assert.equal(
    await together(
      [{ name: 'a' }, { name: 'b' }, { name: 'long', long: true }, { name: 'drain', alone: true }],
      2,
    ),
    ['drain', 'long+a', 'b'],
  )
})

test('one more at once when there is room, but not beside what runs alone', async () => {
  assert.equal(
    await together(
      [{ name: 'drain', alone: true }, ...['a', 'b', 'c'].map(name => ({ name }))],
      2,
      Promise.resolve(),
    ),
    ['drain', 'a+b+c'],
  )
})

test('a lane whose jobs have ended waits for no room', async () => {
  assert.equal(await together([{ name: 'a' }], 1, new Promise(() => {})), ['a'])
})

// what prints goes on for longer than it may be silent, and prints much more often: a busy machine
// that stands still for 4 s changes nothing
const printing = 'i=0; while [ $i -lt 30 ]; do i=$((i + 1)); echo $i; sleep 0.2; done'

test('a program says how it ended: a code, a signal, too late, silent for too long', async () => {
  const end = async (script: string, options: Parameters<typeof execute>[1] = {}) =>
    words(await execute(['sh', '-c', script], options))
  const [code, signal, late, silent, prints, nowhere] = await Promise.all([
    end('exit 3'),
    end('kill -TERM $$'),
    end('while :; do echo on; sleep 0.1; done', { limit: 500, silence: 60_000 }),
    end('sleep 60', { silence: 300 }),
    end(`${printing}; exit 4`, { silence: 5000 }),
    end('', { cwd: '/nowhere' }),
  ])
  assert.is(code, 'ended with exit code 3')
  assert.is(signal, 'was ended by SIGTERM')
  assert.is(late, 'took longer than 0.5 s and was ended')
  assert.is(silent, 'printed nothing for 0.3 s and was ended')
  assert.is(prints, 'ended with exit code 4')
  assert.match(nowhere, /could not be started: .*ENOENT/)
})

test('a program that is just being written could not be started, and the run goes on', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'kgc-busy-'))
  const file = join(folder, 'node')
  cpSync('/bin/true', file, { dereference: true })
  const open = openSync(file, 'r+')
  const busy = words(await execute([file], {}))
  closeSync(open)
  assert.match(busy, /could not be started: .*ETXTBSY/)
  assert.is(words(await execute([file], {})), 'ended with exit code 0')
  rmSync(folder, { recursive: true })
})

test('a build may take as long as it wants while its log grows, and is ended with the reason when it does not', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'kgc-quietly-'))
  const quietly = (limit: number, command: string) =>
    execute(
      [
        'bash',
        '-euc',
        `. infra/demo/gobuild/quietly.sh; KGC_SILENCE=${limit} quietly ${join(folder, String(limit))} sh -c '${command}'`,
      ],
      {},
    )
  const [growing, silent] = await Promise.all([quietly(5, printing), quietly(2, 'exec sleep 60')])
  assert.is(growing.code, 0, growing.text)
  assert.is(silent.code, 6)
  assert.match(
    silent.text,
    /this failed: sh -c .*: it wrote nothing for 2 s and was ended; the whole log: /,
  )
  rmSync(folder, { recursive: true })
})

test('a run that is interrupted ends what it has started, and says so', async () => {
  const run = spawn(
    process.execPath,
    [...readTypeScript, 'test/run.ts', 'unit', '--grep', 'unit/progress'],
    { cwd: join(import.meta.dirname, '../..') },
  )
  let said = ''
  run.stdout.on('data', text => (said += text))
  const code = new Promise(done => run.on('close', done))
  const children = () =>
    spawnSync('pgrep', ['-f', '-P', `${run.pid}`, 'progress.test.ts'], { encoding: 'utf8' }).stdout
  await waitUntil('a test file runs', 30, () => children() !== '')
  const [child] = children().split('\n')
  run.kill('SIGINT')
  assert.is(await code, 130)
  assert.match(said, 'Interrupted by SIGINT; what was started has been ended.')
  assert.not.ok(existsSync(`/proc/${child}`))
})

test('temporary files go to memory only where programs start', () => {
  assert.is(memoryFolder('/nowhere'), undefined)
  // all can be read there, nothing be made
  assert.is(memoryFolder('/proc'), undefined)
  const folder = memoryFolder(tmpdir())
  assert.ok(folder?.startsWith(join(tmpdir(), 'kgc-test-')))
})

test.run()
