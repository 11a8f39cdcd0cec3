// What GitHub is told of a deploy, and what it is asked before one.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { git } from '../../git.ts'
import { standAtGitHub } from './github-environment.ts'

const test = suite('deploy and GitHub')
const { box, commit, deploy, github, summary } = await standAtGitHub('kgc-t-github')
const texts = () =>
  github.deployments.at(-1)!.statuses.map(({ state, description }) => [state, description])
const run = 'https://github.com/kgc/stack/actions/runs/5'

test('a deploy is a deployment of its commit, with its images, and a table in the summary', async () => {
  const sha = commit()
  const { code, said } = await deploy()
  assert.is(code, 0, said)
  const [one] = github.deployments
  assert.equal([one!.sha, one!.environment, github.deployments.length], [sha, 'test', 1])
  assert.equal(texts(), [
    ['in_progress', 'release 1: deploy'],
    ['success', 'release 1 serves'],
  ])
  assert.equal(
    one!.statuses.map(({ log_url }) => log_url),
    [run, run],
  )
  const { by, verb, release, images } = one!.payload as Record<string, any>
  assert.equal([by, verb, release], ['kgc-stack', 'deploy', 1])
  assert.match(images['127.0.0.1:5001/kgc-demo/redis:8'], /^sha256:[0-9a-f]{64}$/)
  assert.not.match(said + JSON.stringify(github.deployments), github.token)
  const text = readFileSync(summary, 'utf8')
  const rows = [
    /### ✔ Deploy to test/,
    /\| Release \| 1 \(deploy\) \|/,
    `| Commit | ${sha} |`,
    /\| Watch \| [\d.]+ s \|/,
    /\| Result \| test serves release 1 /,
  ]
  for (const row of rows) assert.match(text, row as RegExp)
})

test('nothing to do makes no deployment, but for a commit that GitHub does not know yet', async () => {
  assert.match((await deploy()).said, 'Nothing to do')
  assert.is(github.deployments.length, 1)
  const sha = commit()
  assert.match((await deploy()).said, 'Nothing to do')
  assert.equal([github.deployments.length, github.deployments[1]!.sha], [2, sha])
  assert.equal(texts().at(-1), ['success', 'release 1 serves, nothing to do'])
})

test('a deploy that is rolled back is a failure there, with its cause and what serves', async () => {
  commit({ env: { SMOKE: 'broken' } })
  const { code, said } = await deploy()
  assert.is(code, 5, said)
  const [state, words] = texts().at(-1)!
  assert.is(state, 'failure')
  assert.match(
    words!,
    /^1 checks fail although everything is ready: alpha: alpha says that it works; rolled back, release 1 serves again/,
  )
  const text = readFileSync(summary, 'utf8')
  for (const part of [
    '| Result | failed (exit code 5) |',
    '**Cause** Smoke test:',
    'it says broken',
    '**Next**',
    '**Serving now** release 1 serves again',
  ])
    assert.match(text, part)
})

test('GitHub that refuses is a warning and no result', async () => {
  commit({ config: { A: '2' } })
  const { code, said } = await deploy([], { GITHUB_TOKEN: 'canaryOtherToken' })
  assert.is(code, 0, said)
  assert.match(
    said,
    '⚠ GitHub answered 401 (Bad credentials): the token is not valid; it does not know of this deployment',
  )
  assert.not.match(said, 'canaryOtherToken')
})

test('alphagov/govuk-design-system#1946: a run of an older commit that is started again is refused with what serves, until a reason is given', async () => {
  const newest = git(box.root, 'rev-parse', 'HEAD')
  git(box.root, 'checkout', '--quiet', `${newest}~3`)
  const { code, said } = await deploy()
  assert.is(code, 3, said)
  assert.match(
    said,
    new RegExp(
      `release 3 serves, of commit ${newest.slice(0, 12)}; \\w{12} served before it, in release 1; .*its databases.*--again --reason`,
    ),
  )
  assert.match(said, 'nothing was touched')
  const again = await deploy(['--again', '--reason', 'the audit', '--dry-run'])
  assert.is(again.code, 0, again.said)
  git(box.root, 'checkout', '--quiet', newest)
  assert.match((await deploy()).said, 'Nothing to do')
})

test('an environment that comes after another takes what that one had, and refuses all else at once', async () => {
  writeFileSync(
    join(box.root, 'infra/k8s/overlays/test/environment.yaml'),
    'disposable: true\npromotedFrom: staging\n',
  )
  const sha = commit({ image: '127.0.0.1:5001/kgc-demo/not-there:1' })
  const refused = await deploy(['--dry-run'])
  assert.is(refused.code, 3)
  assert.match(
    refused.said,
    `GitHub records no deployment of ${sha.slice(0, 12)} to staging by deploy.ts; deploy it to staging first`,
  )
  assert.match(refused.said, 'kgc-demo/not-there:1: it is not in')

  const good = commit({ config: { A: '3' } })
  const { images } = github.deployments[0]!.payload as { images: Record<string, string> }
  const statuses = [{ id: 901, state: 'success', description: '' }]
  github.deployments.push({
    id: 900,
    sha: good,
    environment: 'staging',
    payload: JSON.stringify({ by: 'kgc-stack', images }),
    request: {},
    statuses,
  })
  const taken = await deploy(['--dry-run'])
  assert.is(taken.code, 0, taken.said)
  github.deployments.at(-1)!.payload = {
    by: 'kgc-stack',
    images: Object.fromEntries(Object.keys(images).map(name => [name, `sha256:${'0'.repeat(64)}`])),
  }
  const moved = await deploy(['--dry-run'])
  assert.is(moved.code, 3)
  assert.match(
    moved.said,
    'kgc-demo/redis:8 is not what staging had under this commit: its digest differs',
  )

  const nobody = await deploy(['--dry-run'], { GITHUB_TOKEN: '' })
  assert.is(nobody.code, 0, nobody.said)
  assert.match(nobody.said, 'GitHub cannot be asked whether staging had this commit')
  assert.is((await deploy(['--dry-run'], { GITHUB_TOKEN: '', GITHUB_ACTIONS: 'true' })).code, 3)
})

test.run()
