import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { askQuestion } from '../../scripts/lib/prompt.ts'
import { run } from '../../scripts/lib/run.ts'
import { readTypeScript } from '../node.ts'

const test = suite('run')

test('a child that does not end when its time is over is killed 5 s later, with what it has started', async () => {
  const { code, ms } = await run(['sh', '-c', 'trap "" TERM; sleep 30; sleep 30'], {
    timeout: 200,
    nothrow: true,
  })
  assert.is(code, 124)
  assert.ok(ms > 4_500 && ms < 15_000, `${ms} ms`)
})

test('the same when its signal is aborted', async () => {
  const stop = new AbortController()
  setTimeout(() => stop.abort(), 1_000)
  const { code, ms } = await run(['sh', '-c', 'trap "" TERM; sleep 30; sleep 30'], {
    signal: stop.signal,
    nothrow: true,
  })
  assert.is(code, 137)
  assert.ok(ms > 4_500 && ms < 15_000, `${ms} ms`)
})

test('with a signal that is aborted already nothing is started', async () => {
  const options = { signal: AbortSignal.abort(), timeout: 20_000 }
  const { code, stdout, ms } = await run(['sh', '-c', 'echo begun; sleep 10'], {
    ...options,
    nothrow: true,
  })
  assert.equal({ code, stdout }, { code: 137, stdout: '' })
  assert.ok(ms < 8_000, `${ms} ms`)
  try {
    await run(['sleep', '10'], options)
    assert.unreachable()
  } catch (error) {
    assert.match((error as Error).message, 'ended with 137')
  }
})

test('what a person has in ~/.bashrc changes no command', async () => {
  const home = mkdtempSync(join(tmpdir(), 'kgc-home-'))
  writeFileSync(join(home, '.bashrc'), 'echo noise\ncat() { echo other; }\n')
  const { HOME, SHLVL } = process.env
  Object.assign(process.env, { HOME: home, BASH_ENV: join(home, '.bashrc') })
  // as under systemd, cron or a workflow's runner
  delete process.env.SHLVL
  try {
    assert.is((await run(['cat'], { input: 'said' })).stdout, 'said')
  } finally {
    Object.assign(process.env, { HOME, BASH_ENV: '', ...(SHLVL ? { SHLVL } : {}) })
    rmSync(home, { recursive: true })
  }
})

test('a character that the pipe cuts in two is kept, whole and for who listens', async () => {
  const write =
    'for (let i = 0; i < bytes.length; i += 4097) fs.writeSync(1, bytes.subarray(i, i + 4097))'
  let heard = ''
  const text = `x${'ő😀\ufeff'.repeat(30_000)}`
  const make = `const fs = require('fs'); const bytes = Buffer.from('x' + 'ő😀\\ufeff'.repeat(30_000)); ${write}`
  const { stdout } = await run([process.execPath, '-e', make], {
    onOutput: piece => (heard += piece),
  })
  assert.ok(
    stdout === text && heard === text,
    `${stdout.length} and ${heard.length} of ${text.length}`,
  )
})

test('a child that ends before it has read its input is judged by its exit code', async () => {
  for (let i = 0; i < 20; i++) {
    const { code } = await run(['sh', '-c', 'exec <&-; exit 3'], {
      input: 'x'.repeat(1_000_000),
      nothrow: true,
    })
    assert.is(code, 3)
  }
})

const lib = (name: string) =>
  `import ${JSON.stringify(join(import.meta.dirname, '../../scripts/lib', name))};`
/** Starts a script of these lines, with `main`, `emit` and so on of report.ts. */
function script(text: string) {
  const from = (name: string, what: string) => lib(name).replace('import ', `import ${what} from `)
  const whole =
    from('report.ts', '{ emit, setJsonOutput, main, printResult, say }') +
    from('interrupt.ts', '{ onInterrupt }') +
    from('run.ts', '{ run }') +
    from('prompt.ts', '{ askQuestion }') +
    text
  const child = spawn(
    process.execPath,
    [...readTypeScript, '--input-type=module', '--eval', whole],
    {
      env: { ...process.env, NO_COLOR: '1' },
    },
  )
  let said = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', data => (said += data))
  const ended = once(child, 'close').then(([code]) => ({ code: code as number | null, said }))
  const line = async (text: string) => {
    while (!said.includes(text))
      await Promise.race([
        once(child.stdout, 'data'),
        once(child.stderr, 'data'),
        ended.then(() => assert.unreachable(said)),
      ])
  }
  return { child, ended, line }
}

test('a script whose reader goes away goes on to its end', async () => {
  const { child, ended } = script(`setJsonOutput(true)
    await main(async () => {
      for (let i = 0; i < 20; i++) { emit('step', { i }); say('step ' + i); await new Promise(done => setTimeout(done, 20)) }
      await run(['sh', '-c', 'exit 0'])
      return 5
    })`)
  child.stdout.destroy()
  child.stderr.once('data', () => child.stderr.destroy())
  const { code } = await ended
  assert.is(code, 5)
})

test('a terminal that is closed is an interruption: the work for it is done, and what was started ends', async () => {
  const { child, ended, line } = script(`onInterrupt(() => say('the lock is free'))
    await main(async () => { say('begun'); await run(['sleep', '30']) })`)
  await line('begun')
  child.kill('SIGHUP')
  const { code, said } = await ended
  assert.is(code, 129)
  assert.match(said, /the lock is free[^]*Interrupted by SIGHUP/)
})

test('who is asked and ends the input has not answered; Ctrl-C interrupts', async () => {
  const answer = (keys: string) => {
    const input = Object.assign(new PassThrough(), { isTTY: true, setRawMode: () => {} })
    const output = Object.assign(new PassThrough(), { isTTY: true, columns: 80 })
    setTimeout(() => input.write(keys), 50)
    return Promise.race([
      askQuestion('Type it: ', input, output),
      new Promise(done => setTimeout(() => done('nothing'), 2_000)),
    ])
  }
  assert.is(await answer('production\r'), 'production')
  assert.is(await answer('\x04'), undefined)
  const { ended } = script(`const { PassThrough } = await import('node:stream')
    const stream = () => Object.assign(new PassThrough(), { isTTY: true, columns: 80, setRawMode() {} })
    const input = stream()
    setTimeout(() => input.write('\\x03'), 50)
    const alive = setInterval(() => {}, 1000)
    await main(async () => { say('answer: ' + (await askQuestion('Type it: ', input, stream()))) })`)
  const { code, said } = await ended
  assert.is(code, 130, said)
  assert.not.match(said, 'answer')
})

test.run()
