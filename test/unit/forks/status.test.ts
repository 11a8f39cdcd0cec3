import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { isInRange, judgeAdvisories } from '../../../scripts/lib/forks/advisories.ts'
import { parseFork, versionOfTag } from '../../../scripts/lib/forks/definition.ts'
import { Failure } from '../../../scripts/lib/errors.ts'
import { findMovedTags, parseReleaseTags } from '../../../scripts/lib/forks/upstream-tags.ts'
import { git } from '../../git.ts'
import { readGitHubRepository } from '../../../scripts/lib/github/client.ts'
import { openPullRequest } from '../../../scripts/lib/forks/pull-request.ts'
import { pass, status } from '../../github.ts'
import { shop } from './setup.ts'

const test = suite('forks status')

const advisory = (range: string, id = 'GHSA-x567-v324-7mr2') => ({
  ghsa_id: id,
  severity: 'critical',
  summary: 'Remote code execution',
  html_url: `https://github.com/acme/shop/security/advisories/${id}`,
  state: 'published',
  vulnerabilities: [
    {
      package: null,
      vulnerable_version_range: range,
      patched_versions: '1.1.0',
      vulnerable_functions: null,
    },
  ],
})
const statusOf = (stdout: string) =>
  stdout
    .trim()
    .split('\n')
    .map(line => JSON.parse(line))
    .find(({ event }) => event === 'fork')

test('status says what is pinned, the newest release, and by how many it is behind', async () => {
  const one = await shop()
  const done = await one.run(['status'])
  assert.is(done.code, 0, done.stderr)
  assert.match(
    done.stdout,
    /fork +pinned +image +newest +behind by +own commits +agree\nshop +v1\.0\.0 +1\.0\.0 +v3\.0\.0 +2 +0 +yes/,
  )
  const json = statusOf((await one.run(['status', '--json'])).stdout)
  assert.equal([json.release, json.newest, json.behind, json.agrees], ['v1.0.0', 'v3.0.0', 2, true])
  one.close()
})

test('an advisory against the pin is found, on a later page too and without a token; one that is fixed is not', async () => {
  const one = await shop()
  one.about['acme/shop']!.advisories = [
    ...Array.from({ length: 120 }, (_, i) => advisory('< 0.9.0', `GHSA-old-${i}`)),
    advisory('>= 0.9, < 1.1.0'),
  ]
  const done = await one.run(['status'], { GITHUB_TOKEN: '', GH_TOKEN: '', PATH: '/usr/bin:/bin' })
  assert.is(done.code, 3)
  assert.match(
    done.stderr,
    /GHSA-x567-v324-7mr2 \(critical\) is about this version: Remote code execution; fixed by 1\.1\.0/,
  )
  assert.not.match(done.stderr, 'GHSA-old')
  one.close()
})

test('a source that lacks its image’s release does not agree, and no advisory is taken for harmless', async () => {
  const one = await shop()
  one.about['acme/shop']!.advisories = [advisory('< 0.9.0')]
  git(one.source, 'switch', '--quiet', '--orphan', 'dev')
  git(one.source, 'commit', '--quiet', '--allow-empty', '--message', 'dev')
  one.publish()
  const dev = git(one.source, 'rev-parse', 'HEAD')
  one.about['acme/shop']!.compare = {
    [`${one.tags['v1.0.0']}...${dev}`]: { ahead_by: 1, behind_by: 4 },
  }
  one.pin(dev)
  const done = await one.run(['status'])
  assert.is(done.code, 3)
  assert.match(done.stderr, 'the image is 1.0.0, the source lacks commits of v1.0.0')
  assert.match(done.stderr, 'GHSA-x567-v324-7mr2 (critical) may be about it')
  // 10x-Engineers/Infinite-ISP#6: what upstream itself has besides is nobody's own
  assert.match(done.stdout, /shop +[0-9a-f]{12} +1\.0\.0 +v3\.0\.0 +2 +0 +no/)
  one.close()
})

test('the changed source of an AGPL application has its address, and a private fork is named', async () => {
  const one = await shop()
  assert.is((await one.run(['init', '--yes'])).code, 0)
  const own = 'c'.repeat(40)
  one.about['kgc/shop']!.compare = {
    [`${one.tags['v1.0.0']}...${own}`]: { ahead_by: 3, behind_by: 0 },
  }
  one.pin(own)
  const open = await one.run(['status'])
  assert.is(open.code, 0, open.stderr)
  assert.match(open.stdout, /v?1\.0\.0 +v3\.0\.0 +2 +3 +yes/)
  assert.match(open.stderr, `offered at ${one.server.url}/kgc/shop/tree/${own}`)
  one.about['kgc/shop']!.private = true
  const hidden = await one.run(['status'])
  assert.is(hidden.code, 3)
  assert.match(hidden.stderr, /is not public, and AGPL-3\.0 asks to offer it/)
  one.close()
})

test('a moved tag is named, and what does not answer is not known rather than right', async () => {
  const one = await shop()
  git(one.source, 'tag', '--force', 'v1.0.0', one.tags['v1.1.0']!)
  one.publish()
  one.about['kgc/shop'] = { parent: 'acme/shop' }
  const moved = await one.run(['status'])
  assert.is(moved.code, 3)
  assert.match(moved.stderr, 'the tag has moved: v1.0.0 was')
  one.server.close()
  const away = await one.run(['status'])
  assert.is(away.code, 3)
  // renovatebot/renovate#9532: an error without its cause helps nobody
  assert.match(
    away.stderr,
    /not known: Ask http\S+ for its tags: unable to access .*Failed to connect/,
  )
  assert.match(away.stdout, /shop +v1\.0\.0 +1\.0\.0 +\? +\? +0 +yes/, 'by what was seen')
  one.close()
})

/** What status says of GitHub when the first answers are these. */
type Faced = [code: number, message?: string, headers?: () => Record<string, string>]
async function faced(answers: Faced[], timeout = '2000') {
  const one = await shop()
  // the headers are made when the answer is given: a limit is reset so long after that
  const late = answers.map(
    ([code, message, headers]): (typeof one.github.answers)[number] =>
      (response, request) =>
        status(code, message, headers?.() ?? {})(response, request),
  )
  one.github.answers.push(...late)
  const start = Date.now()
  const { code, stderr } = await one.run(['status'], { KGC_GITHUB_TIMEOUT_MS: timeout })
  const asked = one.github.requests.length
  one.close()
  return { code, stderr, asked, ms: Date.now() - start }
}
const inSeconds = (seconds: number) => String(Math.ceil(Date.now() / 1000) + seconds)

test('a rate limit is waited for until it is reset when that is soon, and named when it is not', async () => {
  const used = (seconds: number) => () => ({
    'x-ratelimit-remaining': '0',
    'x-ratelimit-reset': inSeconds(seconds),
  })
  const soon = await faced([[403, 'API rate limit exceeded', used(1)]], '10000')
  assert.is(soon.code, 0, soon.stderr)
  assert.is(soon.asked, 2)
  assert.ok(soon.ms >= 1000)
  const late = await faced([[429, 'API rate limit exceeded', used(3600)]])
  assert.is(late.code, 3)
  assert.match(late.stderr, /answered 429 \(API rate limit exceeded\).*until \d\d:\d\d/)
  assert.is(late.asked, 1)
})

test('the abuse limit is waited for as long as GitHub says, an hour is not', async () => {
  const words = 'You have exceeded a secondary rate limit'
  const soon = await faced([[403, words, () => ({ 'retry-after': '1' })]], '10000')
  assert.is(soon.code, 0, soon.stderr)
  const unsaid = await faced([[403, words]])
  assert.is(unsaid.code, 3)
  assert.is(unsaid.asked, 1, 'without Retry-After a minute is the minimum')
})

test('an expired token, 404 and an endless 502 end with what GitHub said, after a bounded time', async () => {
  const expired = await faced([[401, 'Bad credentials']])
  assert.is(expired.code, 3)
  assert.match(expired.stderr, 'answered 401 (Bad credentials): the token is not valid')
  assert.is(expired.asked, 1)
  const gone = await faced([[404, 'Not Found']])
  assert.match(gone.stderr, 'answered 404')
  const endless = Array.from({ length: 50 }, (): Faced => [502, 'Server Error'])
  const broken = await faced(endless, '5000')
  assert.is(broken.code, 3)
  assert.match(broken.stderr, 'answered 502')
  assert.ok(broken.ms < 20_000 && broken.asked < 12)
})

test('409 and 422 end at once with what GitHub said', async () => {
  for (const code of [409, 422]) {
    const refused = await faced([[code, 'Reference update failed']])
    assert.is(refused.code, 3)
    assert.match(refused.stderr, `answered ${code} (Reference update failed)`)
    assert.is(refused.asked, 1)
  }
})

test('a pull request that somebody else opens meanwhile is found', async () => {
  const { github } = await shop()
  const access = readGitHubRepository({ ...github.env })
  const here = { full_name: 'kgc/stack', private: false, fork: false, default_branch: 'main' }
  const open = { branch: 'forks/shop-1.1.0', title: 't', body: 'b' }
  const faster: (typeof github.answers)[number] = (response, request) => {
    const head = { label: `kgc:${open.branch}`, ref: open.branch }
    github.pulls.push({ number: 7, html_url: 'https://github.com/kgc/stack/pull/7', head })
    return status(422, 'A pull request already exists')(response, request)
  }
  github.answers.push(pass, faster)
  assert.match(await openPullRequest(access!, here, open), 'pull/7')
})

test('tags: an annotated one is what it tags, a beta is no release, and versions are sorted as numbers', () => {
  const [a, b, c] = ['a', 'b', 'c'].map(letter => letter.repeat(40))
  const text = `${a}\trefs/tags/v1.10.0\n${b}\trefs/tags/v1.9.0\n${c}\trefs/tags/v1.9.0^{}\n${a}\trefs/tags/v2.0.0-rc1\n${a}\trefs/tags/release/v2.1.0\n`
  const tags = parseReleaseTags({ tag: 'v{version}' }, text)
  assert.equal(
    tags.map(({ name, commit }) => [name, commit]),
    [
      ['v1.9.0', c],
      ['v1.10.0', a],
    ],
  )
  assert.equal(findMovedTags({ seen: { 'v1.9.0': b!, 'v0.1.0': a! } }, tags), [
    `v1.9.0 was ${b}, is ${c}`,
    `v0.1.0 was ${a}, is gone`,
  ])
  assert.is(versionOfTag({ tag: '{version}' }, 'release/v2.1.0'), undefined)
  assert.is(versionOfTag({ tag: 'acme/shop:v{version}-ce' }, 'acme/shop:v1.2.3'), undefined)
})

test('a fork.yaml that is not right is named with all that is wrong, and no bug', () => {
  const right = `path: forks/a\nupstream: https://x/a/a.git\nlicense: MIT\ntag: "v{version}"\nreleased: "a/a:{version}"\n`
  assert.is(parseFork('a.yaml', right).name, 'a')
  const rows: [string, RegExp][] = [
    ['', /path is not set; upstream is not set; license is not set; tag is not set; released is/],
    ['path: [', /Flow sequence.*; path is not set/],
    [right.replace('https://x/a/a.git', 'a'), /^upstream is no address$/],
    [right.replace('a/a:{version}', 'a/a:1'), /^released lacks \{version\}$/],
    [`${right}seen: { v1: 6007ad5 }\n`, /^seen: v1 has no whole commit$/],
  ]
  for (const [text, why] of rows)
    assert.throws(
      () => parseFork('a.yaml', text),
      (error: unknown) =>
        error instanceof Failure && error.what === 'Read a.yaml' && why.test(error.why),
      text,
    )
})

test('ranges of advisories', () => {
  const rows: [string, string, boolean | undefined][] = [
    ['2.1.7', '< 2.1.8', true],
    ['2.1.8', '< 2.1.8', false],
    ['2.1.10', '<= 2.1.9', false],
    ['2.1', '= 2.1.0', true],
    ['2.1.4', '>= 2.0, < v2.1.4', false],
    ['2.1.4', '2.1.4', true],
    ['2.1.4', 'all versions before the fix', undefined],
    ['2.1.4', '', undefined],
  ]
  for (const [version, range, expected] of rows)
    assert.is(isInRange(version, range), expected, `${version} ${range}`)
  assert.is(judgeAdvisories([advisory('in words')], '9.9.9')[0]?.affected, 'unknown')
  assert.equal(judgeAdvisories([advisory('< 2.1.8')], '2.1.8'), [])
})

test.run()
