import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import {
  requirePromoted,
  findUnpromotedImages,
} from '../../scripts/lib/deploy/preflight/promotion.ts'
import {
  startGitHubDeployment,
  ensureDeploymentRecorded,
  recordRefusal,
  type DeploymentInfo,
} from '../../scripts/lib/deploy/github-deployment.ts'
import { Failure } from '../../scripts/lib/errors.ts'
import {
  requestGitHub,
  readGitHubRepository,
  describeGitHubError,
  type GitHubRepository,
} from '../../scripts/lib/github/client.ts'
import {
  finalDeploymentState,
  findNewestDeployment,
  findChangedDigests,
  parseDeploymentPayload,
  fetchDeployment,
  shortenDescription,
} from '../../scripts/lib/github/deployments.ts'
import type { Environment } from '../../scripts/lib/kubernetes/environment.ts'
import { keepSecret, redact } from '../../scripts/lib/redact.ts'
import { describeOutcome } from '../../scripts/lib/deploy/change-on-github.ts'
import { gitHubStandIn, hang, status } from '../github.ts'
import { repository } from '../sandbox.ts'
import { waitUntil } from '../until.ts'

const test = suite('github')

for (const name of Object.keys(process.env))
  if (/^(GITHUB|GH)_/.test(name)) delete process.env[name]
const commit = 'a'.repeat(40)
const [first, second] = [`sha256:${'1'.repeat(64)}`, `sha256:${'2'.repeat(64)}`]
const news = (change: Partial<DeploymentInfo> = {}): DeploymentInfo => ({
  environment: 'staging',
  verb: 'deploy',
  release: 7,
  what: 'deploy',
  commit,
  images: { 'ghcr.io/kgc/api:a': first },
  ...change,
})
const environment = { name: 'production', promotedFrom: 'staging' } as Environment
const soon = () => Date.now() + 30_000
/** What it throws; not an error is not what is expected. */
const thrown = (work: Promise<unknown>) =>
  work.then(assert.unreachable as () => never, (error: Error) => error)

const servers: { close: () => void }[] = []
test.after(() => servers.forEach(server => server.close()))
async function start() {
  const server = await gitHubStandIn()
  servers.push(server)
  return { ...server, github: readGitHubRepository(server.env)! }
}

// Reading the environment

test('a token and a repository make it known; the token is a secret at once', () => {
  const env = {
    GITHUB_TOKEN: 'canaryEnvToken',
    GITHUB_REPOSITORY: 'kgc/stack',
    GITHUB_API_URL: 'https://api.x.hu',
  }
  assert.equal(readGitHubRepository(env), {
    owner: 'kgc',
    repo: 'stack',
    token: 'canaryEnvToken',
    api: 'https://api.x.hu',
  })
  assert.is(redact('a canaryEnvToken b'), 'a [secret] b')
  assert.is(
    readGitHubRepository({ ...env, GITHUB_TOKEN: '', GH_TOKEN: 'canaryOther' })!.token,
    'canaryOther',
  )
  const wrong = [
    {},
    { ...env, GITHUB_TOKEN: '' },
    { ...env, GITHUB_REPOSITORY: 'stack' },
    { ...env, GITHUB_REPOSITORY: 'a/b/c' },
  ]
  assert.equal(
    wrong.map(one => readGitHubRepository(one)),
    wrong.map(() => undefined),
  )
})

// What is pure

test('a description keeps its end: of what is too long the cause is cut', () => {
  assert.is(
    shortenDescription('the image\n is not there', 'release 4 serves'),
    'the image is not there; release 4 serves',
  )
  const long = shortenDescription('x'.repeat(500), 'rolled back, release 4 serves')
  assert.is(long.length, 140)
  assert.match(long, /^x+…; rolled back, release 4 serves$/)
  assert.is([...shortenDescription('🦊'.repeat(300), '🦊'.repeat(300))].length, 140)
  assert.is(shortenDescription('whole'), 'whole')
  keepSecret('canaryInCause')
  assert.is(shortenDescription('it said canaryInCause'), 'it said [secret]')
})

test('a deploy ends in words that name what failed and what serves', () => {
  const change = { release: { number: 7 } } as Parameters<typeof describeOutcome>[0]
  assert.is(describeOutcome(change, 'succeeded', {}), 'release 7 serves')
  const failed = new Failure(5, 'Deploy to staging', 'Deployment api: ImagePullBackOff')
  const serving = 'release 6 serves again'
  assert.is(
    describeOutcome(change, 'rolled-back', { failed, serving }),
    'Deployment api: ImagePullBackOff; rolled back, release 6 serves again',
  )
  const known = Object.assign(failed, {
    cause: { application: 'api', likely: 'its image is not in the registry' },
  })
  assert.is(
    describeOutcome(change, 'failed', { failed: known, serving: 'release 6 is half back' }),
    'api: its image is not in the registry; release 6 is half back',
  )
})

test('a script without a token does not load octokit', () => {
  const files = readdirSync(join(repository, 'scripts'), {
    recursive: true,
    encoding: 'utf8',
  }).filter(name => name.endsWith('.ts'))
  assert.equal(
    files.filter(name =>
      /^import .*@octokit/m.test(readFileSync(join(repository, 'scripts', name), 'utf8')),
    ),
    [],
  )
})

test('a deployment is ours by its payload, as an object or as JSON', () => {
  const ours = { by: 'kgc-stack', verb: 'deploy', release: 1, images: {} }
  assert.equal(
    [ours, JSON.stringify(ours)].map(payload => parseDeploymentPayload({ id: 1, payload })),
    [ours, ours],
  )
  for (const payload of ['', '{', '{}', null, undefined, {}, { by: 'other' }, [], '"kgc-stack"'])
    assert.is(parseDeploymentPayload({ id: 1, payload }), undefined)
  assert.equal(
    parseDeploymentPayload({ id: 1, payload: { by: 'kgc-stack', images: null } })!.images,
    {},
  )
  assert.is(
    findNewestDeployment([
      { id: 3, payload: ours },
      { id: 9, payload: ours },
      { id: 12, payload: '' },
    ])!.id,
    9,
  )
})

test('what counts is the newest status that is an ending: `inactive` hides no success', () => {
  const ending = (...states: string[]) =>
    finalDeploymentState(states.map((state, index) => ({ id: states.length - index, state })))
  assert.equal(
    [
      ending(),
      ending('success', 'in_progress'),
      ending('inactive', 'success', 'in_progress'),
      ending('failure', 'success'),
      ending('inactive'),
    ],
    ['pending', 'success', 'success', 'failure', 'pending'],
  )
})

test('images are compared by digest, where the name is the same', () => {
  const had = { 'ghcr.io/kgc/api:a': first, 'ghcr.io/kgc/web:a': second }
  assert.equal(
    findChangedDigests(had, [
      ['ghcr.io/kgc/api:b', first],
      [`ghcr.io/kgc/web@${second}`, second],
      ['postgres:17', second],
    ]),
    [],
  )
  assert.equal(findChangedDigests(had, [['ghcr.io/kgc/api:a', second]]), ['ghcr.io/kgc/api:a'])
  assert.equal(
    findChangedDigests({ ...had, 'ghcr.io/kgc/api:b': second }, [['ghcr.io/kgc/api:a', second]]),
    [],
    'one name, two versions',
  )
})

test('answers are told in words, and tried again only where it may help', () => {
  const answer = (status: number, headers = {}, data: unknown = { message: 'Why' }) =>
    describeGitHubError({ status, response: { headers, data } })
  assert.equal(answer(502), { why: 'answered 502 (Why)', wait: 0 })
  assert.equal(answer(429, { 'retry-after': '2' }), { why: 'answered 429 (Why)', wait: 2000 })
  const reset = { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '4102444800' }
  assert.ok(answer(403, reset).wait! > 1e9)
  assert.is(answer(403, reset).why, 'answered 403 (Why), until 00:00 UTC')
  assert.equal(answer(403), {
    why: 'answered 403 (Why): the token may need the right `deployments`',
  })
  assert.equal(answer(401).why, 'answered 401 (Why): the token is not valid')
  assert.equal(answer(422, {}, '<html>'), { why: 'answered 422' })
  const cause = Object.assign(new Error(), { code: 'ECONNREFUSED' })
  assert.equal(describeGitHubError({ status: 500, cause }), {
    why: 'cannot be reached (ECONNREFUSED)',
    wait: 0,
  })
})

// Asking

test('busy is tried again, no answer at all takes no longer than the limit', async () => {
  const { github, answers, requests, token } = await start()
  answers.push(status(502), status(429, '', { 'Retry-After': '0' }), response => response.destroy())
  assert.is(await fetchDeployment(github, soon(), 'staging', commit), undefined)
  assert.is(requests.length, 4)
  const refused = async (github: GitHubRepository, ms: number) => {
    const start = Date.now()
    const { message } = await thrown(fetchDeployment(github, start + ms, 'staging', commit))
    assert.ok(Date.now() - start < ms + 5000, `${Date.now() - start} ms`)
    assert.not.match(message, token)
    return message
  }
  answers.push(hang)
  assert.is(await refused(github, 300), 'GitHub did not answer in time')
  answers.push(
    response =>
      void response.writeHead(200, { 'Content-Type': 'application/json' }).write('[{"id":'),
  )
  assert.is(await refused(github, 200), 'GitHub did not answer in time')
  answers.push(status(429, '', { 'Retry-After': '60' }))
  assert.is(
    await refused(github, 5000),
    'GitHub answered 429, and there is no time for another try',
  )
  answers.push(response => response.end('<html>'))
  assert.is(await refused(github, 5000), 'GitHub did not answer with JSON')
  assert.match(
    await refused({ ...github, api: 'http://127.0.0.1:1' }, 600),
    /^GitHub cannot be reached \(.+\), and there is no time/,
  )
  assert.match(
    await refused({ ...github, api: 'not an address' }, 600),
    /^GitHub cannot be reached/,
  )
  assert.match(
    await refused({ ...github, token: 'canaryWrongToken' }, 5000),
    /^GitHub answered 401 \(Bad credentials\)/,
  )
})

test('a token that comes back in an answer is told to nobody', async () => {
  const { github, answers, token } = await start()
  answers.push(status(403, `no ${token} here`))
  const { message } = await thrown(
    requestGitHub(github, soon(), ({ rest }) =>
      rest.repos.listDeployments({ owner: 'kgc', repo: 'stack' }),
    ),
  )
  assert.match(message, 'no [secret] here')
})

// Telling

/** Goes on beside the other tests. */
const tenSeconds = (async () => {
  const { github, answers } = await start()
  answers.push(hang)
  const begun = Date.now()
  return {
    warning: await startGitHubDeployment(news(), github)!.finish('success', ''),
    ms: Date.now() - begun,
  }
})()

test('a deploy is a deployment of its commit, in progress and then a success, with the address of its run', async () => {
  Object.assign(process.env, {
    GITHUB_SERVER_URL: 'https://github.com',
    GITHUB_REPOSITORY: 'kgc/stack',
    GITHUB_RUN_ID: '5',
  })
  const { github, deployments, requests } = await start()
  assert.is(
    await startGitHubDeployment(news(), github)!.finish('success', 'release 7 serves'),
    undefined,
  )
  for (const name of ['GITHUB_SERVER_URL', 'GITHUB_REPOSITORY', 'GITHUB_RUN_ID'])
    delete process.env[name]
  const [{ request, statuses }] = deployments as [(typeof deployments)[0]]
  assert.equal(request, {
    ref: commit,
    environment: 'staging',
    auto_merge: false,
    required_contexts: [],
    description: 'release 7: deploy',
    payload: {
      by: 'kgc-stack',
      verb: 'deploy',
      release: 7,
      images: { 'ghcr.io/kgc/api:a': first },
    },
  })
  const log_url = 'https://github.com/kgc/stack/actions/runs/5'
  assert.equal(
    statuses.map(({ id: _, ...rest }) => rest),
    [
      { state: 'in_progress', description: 'release 7: deploy', log_url },
      { state: 'success', description: 'release 7 serves', log_url },
    ],
  )
  assert.is(requests.length, 3)
})

test('what was refused is recorded, and takes no proof from a commit that was deployed', async () => {
  const { github, deployments } = await start()
  await startGitHubDeployment(news(), github)!.finish('success', 'release 7 serves')
  assert.is(await recordRefusal('staging', commit, 'the lock is held', github), undefined)
  const last = deployments.at(-1)!
  assert.equal(
    [deployments.length, last.statuses.at(-1)!.state, last.statuses.at(-1)!.description],
    [2, 'failure', 'the lock is held'],
  )
  assert.equal((await requirePromoted(environment, commit, github))?.release, 7)
  assert.is(await recordRefusal('staging', 'none', 'x', github), undefined)
})

test('a cause keeps most of the room that GitHub gives', () => {
  const words = shortenDescription('c'.repeat(100), `rolled back, ${'release 4 serves '.repeat(9)}`)
  assert.match(words, /^c{89}…; rolled back, release 4 .*…$/)
  assert.is([...words].length, 140)
})

test('its end is told once: an interrupt after it changes nothing', async () => {
  const { github, states } = await start()
  const announced = startGitHubDeployment(news(), github)!
  await announced.finish('failure', 'the image is not there; rolled back, release 6 serves')
  assert.is(await announced.finish('error', 'interrupted'), undefined)
  assert.equal(states(), ['in_progress', 'failure'])
})

test('the change does not wait for the beginning; an end that comes early comes after it', async () => {
  const { github, answers, states } = await start()
  answers.push(status(502))
  const start_ = Date.now()
  const announced = startGitHubDeployment(news(), github)!
  assert.ok(Date.now() - start_ < 900)
  await announced.finish('error', 'interrupted in step apply', 1500)
  assert.equal(states(), ['in_progress', 'error'])
})

test('nobody is told without a token, or of a commit that GitHub cannot have', async () => {
  const { github, requests } = await start()
  assert.is(startGitHubDeployment(news(), readGitHubRepository({})), undefined)
  for (const commit of [undefined, `${'a'.repeat(40)}-dirty`, 'main'])
    assert.is(startGitHubDeployment(news({ commit }), github), undefined)
  assert.is(await ensureDeploymentRecorded(news({ commit: undefined }), github), undefined)
  assert.equal(requests, [])
})

test('a refusal, a hanging GitHub and one that is not there are one warning each, in time', async () => {
  const { github, answers, token, requests } = await start()
  const warning = async (announced = startGitHubDeployment(news(), github, 300)!) => {
    const start = Date.now()
    const text = (await announced.finish('success', 'release 7 serves', 20_000))!
    assert.ok(Date.now() - start < 10_000, `${Date.now() - start} ms`)
    assert.not.match(text, token)
    return text
  }
  answers.push(status(403, 'Resource not accessible by integration'))
  assert.match(
    await warning(),
    /^GitHub answered 403 \(Resource not accessible by integration\): the token may need the right `deployments`; it does not know/,
  )
  assert.is(requests.length, 1, 'without a deployment there is no status')
  answers.push(status(404, 'Not Found'))
  assert.match(await warning(), /answered 404/)
  answers.push(hang)
  assert.match(await warning(), /did not answer in time/)
  assert.match(
    await warning(startGitHubDeployment(news(), { ...github, api: 'http://127.0.0.1:1' }, 600)!),
    /cannot be reached/,
  )
})

test('once the deployment is made, a hanging beginning does not take its end', async () => {
  const { github, answers, states, requests } = await start()
  const pass = { shift: answers.shift.bind(answers) }
  answers.shift = () => (requests.length === 2 ? hang : pass.shift())
  const announced = startGitHubDeployment(news(), github, 1000)!
  await waitUntil('the request', 5, () => requests.length === 2, 5)
  await announced.finish('error', 'interrupted', 600)
  assert.equal(states(), ['error'])
})

test('deployments of releases whose process was killed are ended by the next', async () => {
  const { github, states, deployments } = await start()
  await startGitHubDeployment(news({ release: 4 }), github)!.finish('success', 'release 4 serves')
  startGitHubDeployment(news({ release: 5 }), github)
  await waitUntil('the status', 5, () => states(deployments[1]?.id).length > 0, 5)
  await startGitHubDeployment(news({ release: 6, interrupted: [4, 5] }), github)!.finish(
    'success',
    'release 6 serves',
  )
  assert.equal(
    deployments.map(({ id }) => states(id)),
    [
      ['in_progress', 'success', 'inactive'],
      ['in_progress', 'error'],
      ['in_progress', 'success'],
    ],
  )
})

test('where nothing was to do GitHub is told only what it does not know', async () => {
  const { github, deployments, states } = await start()
  assert.is(await ensureDeploymentRecorded(news(), github), undefined)
  assert.equal([deployments.length, states()], [1, ['in_progress', 'success']])
  await ensureDeploymentRecorded(news(), github)
  assert.is(deployments.length, 1, 'it knows')
  await ensureDeploymentRecorded(news({ commit: 'b'.repeat(40) }), github)
  assert.is(deployments.length, 2, 'another commit that changes nothing')
  await ensureDeploymentRecorded(news({ images: { 'ghcr.io/kgc/api:a': second } }), github)
  assert.is(deployments.length, 3, 'other images')
  await startGitHubDeployment(news(), github)!.finish('error', 'interrupted')
  await ensureDeploymentRecorded(news(), github)
  assert.equal(
    [deployments.length, states()],
    [5, ['in_progress', 'success']],
    'what it knows is no success',
  )
  assert.match(
    (await ensureDeploymentRecorded(news(), { ...github, api: 'http://127.0.0.1:1' }, 600))!,
    /cannot be reached/,
  )
})

// One after the other

async function refusal(
  github: GitHubRepository | undefined,
  sha: string | undefined = commit,
  limit = 10_000,
) {
  const error = await requirePromoted(environment, sha, github, limit).then(
    () => undefined,
    (error: unknown) => error,
  )
  assert.ok(error === undefined || (error instanceof Failure && error.code === 3), String(error))
  return error?.why ?? ''
}

test('a commit that succeeded there may go on, also when another has come after it', async () => {
  const { github } = await start()
  assert.is(
    await requirePromoted(
      { ...environment, promotedFrom: undefined } as unknown as Environment,
      commit,
      github,
    ),
    undefined,
  )
  await startGitHubDeployment(news(), github)!.finish('success', '')
  await startGitHubDeployment(news({ commit: 'b'.repeat(40) }), github)!.finish('success', '')
  assert.is((await requirePromoted(environment, commit, github))!.release, 7)
})

test('a commit that was never there, failed there, is being deployed there, or went elsewhere may not', async () => {
  const { github, deployments } = await start()
  await startGitHubDeployment(news({ commit: 'b'.repeat(40) }), github)!.finish('success', '')
  await startGitHubDeployment(news({ environment: 'demo' }), github)!.finish('success', '')
  assert.match(await refusal(github), 'GitHub records no deployment of aaaaaaaaaaaa to staging')
  deployments.push({
    id: 0,
    sha: commit,
    environment: 'staging',
    payload: '',
    request: {},
    statuses: [{ id: 1, state: 'success', description: '' }],
  })
  assert.match(
    await refusal(github),
    'records no deployment',
    'GitHub Actions makes one for its job, before anything is deployed',
  )
  const running = startGitHubDeployment(news(), github)!
  await waitUntil(
    'the status',
    5,
    () => deployments.length === 4 && deployments[3]!.statuses.length > 0,
    5,
  )
  assert.match(await refusal(github), 'is recorded as in_progress')
  await running.finish('success', '')
  assert.is(await refusal(github), '')
  await startGitHubDeployment(news(), github)!.finish('failure', '')
  assert.match(await refusal(github), 'is recorded as failure')
})

test('a commit that is none may not, GitHub that does not answer is no yes', async () => {
  const { github, answers } = await start()
  assert.match(
    await refusal(github, `${commit}-dirty`),
    'production takes only what staging had, but files are changed',
  )
  assert.match(
    (await thrown(requirePromoted(environment, undefined, github))).message,
    'no commit is known',
  )
  answers.push(status(403, 'Resource not accessible by integration'))
  assert.match(await refusal(github), 'answered 403')
  answers.push(hang)
  assert.match(await refusal(github, commit, 300), 'did not answer in time')
})

test('without a token a workflow is refused, a person is told', async () => {
  assert.is(await requirePromoted(environment, commit, undefined), undefined)
  process.env.GITHUB_ACTIONS = 'true'
  assert.match(await refusal(undefined), 'GITHUB_TOKEN or GITHUB_REPOSITORY is not set')
  delete process.env.GITHUB_ACTIONS
})

test('a tag that has moved since staging is refused', () => {
  const had = {
    by: 'kgc-stack',
    verb: 'deploy',
    release: 7,
    images: { 'ghcr.io/kgc/api:a': first },
  } as const
  assert.equal(
    findUnpromotedImages(
      environment,
      had,
      new Map([
        ['ghcr.io/kgc/api:a', first],
        ['postgres:17', second],
      ]),
    ),
    [],
  )
  assert.match(
    findUnpromotedImages(environment, had, new Map([['ghcr.io/kgc/api:a', second]])).join(),
    /^ghcr.io\/kgc\/api:a is not what staging had/,
  )
  assert.equal(
    findUnpromotedImages(environment, undefined, new Map([['ghcr.io/kgc/api:a', second]])),
    [],
  )
})

test('the limit is 10 s', async () => {
  const { warning, ms } = await tenSeconds
  assert.match(warning!, 'did not answer in time')
  assert.ok(ms > 9000 && ms < 18_000, `${ms} ms`)
})

test.run()
