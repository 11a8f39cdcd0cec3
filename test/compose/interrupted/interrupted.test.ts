import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { smallProject, removeAll, type ComposeProject } from '../project.ts'
import { waitUntil } from '../../until.ts'

const test = suite('interrupted up')
const stack = smallProject(import.meta.dirname, 'interrupted')
stack.run(['env'])

/** Starts `up` and sends it a signal once `when` is true; resolves with how it ended. */
async function cut(
  signal: NodeJS.Signals,
  when: () => boolean,
): Promise<{ code: number | null; stderr: string }> {
  const up = stack.start(['up'], { KGC_PROJECT: stack.project })
  await waitUntil('the moment', 30, when, 100)
  up.kill(signal)
  return { code: await up.code, stderr: up.output.stderr }
}

const running = (service: string) => () =>
  stack.container(service) !== '' &&
  stack.engine('inspect', '--format', '{{.State.Status}}', stack.container(service)) === 'running'
const moments: [string, (box: ComposeProject) => () => boolean][] = [
  ['before anything is there', () => () => true],
  ['when the first container is there', () => () => stack.container('first') !== ''],
  ['when the first runs', () => running('first')],
  ['when the third runs', () => running('third')],
]

for (const [name, when] of moments)
  test(`killed ${name}, the next up ends in the same state`, async () => {
    removeAll(stack.project)
    assert.is((await cut('SIGKILL', when(stack))).code, null)
    const { code, stderr } = stack.run(['up'])
    assert.is(code, 0, stderr)
    for (const service of ['first', 'second', 'third']) assert.ok(running(service)(), service)
    assert.is(stack.run(['smoke', '--quick']).code, 0)
  })

test('told to stop, it ends what it started and says so, with 130 and 143', async () => {
  for (const [signal, expected] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const) {
    removeAll(stack.project)
    const { code, stderr } = await cut(signal, () => stack.container('first') !== '')
    assert.is(code, expected, stderr)
    assert.match(stderr, `Interrupted by ${signal}`)
    assert.is(stack.run(['up']).code, 0)
  }
})

test.run()
