// What is asked of the API server without a process for each question.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { describeApiError, requestApi } from '../../scripts/lib/kubernetes/api.ts'
import { readKubectlError } from '../../scripts/lib/kubernetes/kubectl.ts'
import { isApiAway } from '../../scripts/lib/kubernetes/kubectl-retry.ts'
import { readTypeScript } from '../node.ts'
import { repository } from '../sandbox.ts'
import { waitUntil } from '../until.ts'
import { environment, withFakeKubectl } from './fake-kubectl.ts'

const test = suite('api')
const { PATH } = process.env

/** Does `work` with a `kubectl proxy` that counts its requests and answers so; nothing else may be asked of it. */
const withProxy = <T>(answer: string, work: () => Promise<T>) =>
  withFakeKubectl(
    'exit 9',
    work,
    `let n = 0; require('http').createServer((request, answer) => { n++; ${answer} }).listen(process.argv[2], () => console.log('Starting to serve'))`,
  )

test('an API server that is too busy is asked again when it says so, and no sooner', async () => {
  const { value, ms } = await withProxy(
    `if (n < 3) answer.writeHead(429, { 'retry-after': '1' }).end(); else answer.end('{"n":' + n + '}')`,
    () => requestApi(environment, '/version'),
  )
  assert.equal([value!.status, value!.text], [200, '{"n":3}'])
  assert.ok(ms >= 2_000, `${ms} ms`)
})

test('a connection that is lost is made again once, for what only reads', async () => {
  const lost = `if (n === 1) answer.writeHead(500).end('http2: client connection lost'); else answer.end('{}')`
  const read = await withProxy(lost, () => requestApi(environment, '/version'))
  assert.is(read.value!.status, 200)
  const written = await withProxy(lost, () =>
    requestApi(environment, '/version', { method: 'POST' }),
  )
  assert.is(written.value!.status, 500)
})

test("the time is the cluster's", async () => {
  const { value } = await withProxy(
    `answer.writeHead(200, { date: 'Wed, 25 Nov 2026 12:00:00 GMT' }).end()`,
    () => requestApi(environment, '/version'),
  )
  assert.is(value!.time, Date.parse('2026-11-25T12:00:00Z'))
})

test('one that does not answer is away; a proxy that has died is replaced', async () => {
  const { value } = await withProxy(
    `if (request.url === '/die') process.exit(1); if (request.url !== '/silent') answer.end('{}')`,
    async () => {
      const silent = await requestApi(environment, '/silent', { timeout: 300 })
      const died = await requestApi(environment, '/die')
      return [silent, died, await requestApi(environment, '/version')]
    },
  )
  const [silent, died, again] = value!
  assert.is(describeApiError(silent!), 'Unable to connect to the server: nothing within 0.3 s')
  assert.ok(isApiAway(describeApiError(died!)), describeApiError(died!))
  assert.is(again!.status, 200)
})

test("an answer that is no success is told in kubectl's words", () => {
  const told = (status: number, text: string) => describeApiError({ status, text, time: 0 })
  assert.equal(
    [
      told(403, '{"reason":"Forbidden","message":"pods is forbidden"}'),
      told(401, '{"reason":"Unauthorized"}'),
      told(404, '404 page not found'),
      told(500, 'dial tcp 127.0.0.1:6443: connect: connection refused\n'),
      told(500, 'getting credentials: exec: executable aws not found'),
    ],
    [
      'Error from server (Forbidden): pods is forbidden',
      'You must be logged in to the server (Unauthorized)',
      'the server could not find the requested resource',
      'The connection to the server 127.0.0.1:6443 was refused - did you specify the right host or port?',
      'Unable to connect to the server: getting credentials: exec: executable aws not found',
    ],
  )
})

test('a proxy that does not start says why', async () => {
  const { error } = await withFakeKubectl(
    'exit 9',
    () => requestApi(environment, '/version'),
    `console.error('error: the kubeconfig is broken'); process.exit(1)`,
  )
  assert.equal([error!.code, error!.why], [3, 'error: the kubeconfig is broken'])
})

const plugin = [
  'It looks like you are trying to use a client-go credential plugin that is not installed.',
  'To learn more about this feature, consult the documentation available at:',
  '      https://kubernetes.io/docs/reference/access-authn-authz/authentication/',
]
const klog =
  'E1129 11:17:44.123456   12345 memcache.go:265] "Unhandled Error" err="couldn\'t get it"'

test('actions-hub/kubectl#16, kodermax/kubectl-aws-eks#11: of what kubectl says the line that says why is shown', () => {
  const told = (...lines: string[]) =>
    readKubectlError({ stdout: '', stderr: lines.join('\n'), code: 1 })
  const missing =
    'Unable to connect to the server: getting credentials: exec: executable aws not found'
  assert.is(told(missing, '', ...plugin), missing)
  assert.is(told(klog, klog, missing, '', ...plugin), missing)
  const failed = missing.replace('not found', 'failed with exit code 255')
  assert.is(
    told('Error loading SSO Token: it does not exist', 'run: aws sso login', klog, failed),
    `${failed} (said before: Error loading SSO Token: it does not exist; run: aws sso login)`,
  )
  const invalid = 'The Deployment "x" is invalid: spec.replicas: Invalid value: -1'
  assert.is(told('Warning: v1 is deprecated', invalid, '* spec.a: Required value'), invalid)
  const first = 'error: accumulating resources: no such file'
  assert.is(told("# Warning: 'commonLabels' is deprecated", first, 'more of it'), first)
  assert.is(told('something else', 'the last line'), 'the last line')
  assert.is(readKubectlError({ stdout: 'out', stderr: '', code: 1 }), 'out')
  assert.is(readKubectlError({ stdout: '', stderr: '', code: 3 }), 'it ended with 3')
})

test('kodermax/kubectl-aws-eks#11: what a login plug-in said before the API server could be asked is shown', async () => {
  const said = [
    "console.error('run: aws sso login')",
    `console.error(${JSON.stringify(klog)})`,
    `setTimeout(() => answer.writeHead(500).end(${JSON.stringify(
      ['getting credentials: exec: executable aws failed with exit code 255', '', ...plugin].join(
        '\n',
      ),
    )}), 100)`,
  ].join('\n')
  const { value } = await withProxy(said, () => requestApi(environment, '/version'))
  assert.is(
    describeApiError(value!),
    'Unable to connect to the server: getting credentials: exec: executable aws failed with exit code 255 (said before: run: aws sso login)',
  )
})

test('a script that is killed leaves no proxy behind', async () => {
  const body = `import { startCompanion } from '${join(repository, 'scripts/lib/run/companion.ts')}'
    startCompanion(['sh', '-c', 'echo $$; exec sleep 60'], {}, text => console.log(text))`
  const script = spawn(
    process.execPath,
    [...readTypeScript, '--input-type=module', '--eval', body],
    {
      cwd: repository,
      env: { ...process.env, PATH },
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  )
  const [said] = (await once(script.stdout, 'data')) as [Buffer]
  const folder = `/proc/${Number(String(said))}`
  assert.ok(existsSync(folder))
  script.kill('SIGKILL')
  await waitUntil('its end', 10, () => !existsSync(folder))
})

test.run()
