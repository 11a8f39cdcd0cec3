import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { quoteNotes } from '../../../scripts/lib/forks/pull-request.ts'
import { commit, git } from '../../git.ts'
import { shop, writeAll, type Shop } from './setup.ts'

const test = suite('forks bump')
const branch = 'forks/shop-1.1.0'
const at = (one: Shop, path: string, of = branch) => git(one.box.root, 'show', `${of}:${path}`)
const gitlink = (one: Shop, of = branch) => git(one.box.root, 'rev-parse', `${of}:forks/shop`)

test('a bump moves source, image in Compose and Kubernetes and docs together, and opens a pull request with the notes', async () => {
  const one = await shop()
  const done = await one.run(['bump', 'shop', '1.1.0', '--yes'])
  assert.is(done.code, 0, done.stderr)
  assert.is(gitlink(one), one.tags['v1.1.0'])
  const compose = at(one, 'infra/docker/shop/docker-compose.yml')
  assert.match(compose, '${SHOP_IMAGE:-127.0.0.1:7070/acme/shop:v1.1.0}')
  // no registry answers: the digest of another version must not stay
  assert.not.match(compose, 'sha256')
  assert.match(done.stderr, 'without a digest')
  assert.match(at(one, 'infra/k8s/base/shop/web.yaml'), 'shop:v1.1.0 # pinned')
  assert.is(at(one, 'docs/shop.md'), '# Shop 1.1.0\nNothing older than 1.0.0.')
  const fork = at(one, 'infra/docker/shop/fork.yaml')
  assert.match(fork, /^# kept as it is$/m)
  assert.match(fork, `  v1.1.0: ${one.tags['v1.1.0']}`)
  assert.is(git(one.box.root, 'status', '--porcelain'), '', 'the working tree is as it was')
  assert.is(
    git(one.server.folder('kgc/stack'), 'rev-parse', branch),
    git(one.box.root, 'rev-parse', branch),
  )
  const [pull] = one.github.pulls
  assert.is(pull?.base.ref, 'main')
  assert.match(pull?.body, 'Fixes #\u200b12 by @\u200bsomebody')
  assert.match(pull?.body, 'without a digest')
  const again = await one.run(['bump', 'shop', '1.1.0', '--yes'])
  assert.is(again.code, 0, again.stderr)
  assert.is(one.github.pulls.length, 1, 'the open one is found again')
  one.close()
})

test('a tag that has moved is refused, and so is one that is gone', async () => {
  const one = await shop()
  git(one.source, 'tag', '--force', 'v1.0.0', one.tags['v1.1.0']!)
  one.publish()
  const moved = await one.run(['bump', 'shop', 'v1.0.0', '--yes'])
  assert.is(moved.code, 3)
  assert.match(moved.stderr, `v1.0.0 was ${one.tags['v1.0.0']}, is ${one.tags['v1.1.0']}`)
  const none = await one.run(['bump', 'shop', 'v1.2.0', '--yes'])
  assert.is(none.code, 2)
  assert.match(none.stderr, /no release v1\.2\.0[^]*v1\.1\.0, v3\.0\.0/)
  const beta = await one.run(['bump', 'shop', 'beta/v2.0.0', '--yes'])
  assert.is(beta.code, 2)
  one.close()
})

test('a step that the application does not survive is named, and none goes back', async () => {
  const one = await shop()
  const hop = await one.run(['bump', 'shop', '--dry-run'])
  assert.is(hop.code, 3)
  assert.match(hop.stderr, /from 1\.0\.0 to 3\.0\.0[^]*Shop goes to 3 by way of v2\.0\.0/)
  writeFileSync(
    join(one.box.root, 'infra/docker/shop/upgrade-paths.ts'),
    'export const upgradePaths = []\n',
  )
  for (const file of ['infra/docker/shop/docker-compose.yml', 'infra/k8s/base/shop/web.yaml'])
    writeFileSync(join(one.box.root, file), one.read(file).replaceAll('v1.0.0', 'v1.1.0'))
  const back = await one.run(['bump', 'shop', '1.0.0', '--dry-run'])
  assert.is(back.code, 3)
  assert.match(back.stderr, '1.0.0 is older than 1.1.0')
  one.close()
})

test('nothing is public before it is confirmed, nor with commits here that are not on the main branch', async () => {
  const one = await shop()
  const dry = await one.run(['bump', 'shop', '1.1.0', '--dry-run'])
  assert.is(dry.code, 0, dry.stderr)
  const refused = await one.run(['bump', 'shop', '1.1.0'])
  assert.is(refused.code, 3)
  assert.match(refused.stderr, /push forks\/shop-1\.1\.0 to kgc\/stack[^]*open the pull request/)
  assert.equal(one.github.pulls, [])
  assert.is(git(one.server.folder('kgc/stack'), 'branch', '--list', 'forks/*'), '')
  git(one.box.root, 'commit', '--quiet', '--allow-empty', '--message', 'mine')
  const mine = await one.run(['bump', 'shop', '1.1.0', '--yes'])
  assert.is(mine.code, 3)
  assert.match(mine.stderr, '1 commits here are not in origin/main')
  one.close()
})

// https://github.com/repo-sync/github-sync/issues/3
test('what others have pushed to a branch of that name is not written over', async () => {
  const one = await shop()
  const there = git(one.server.folder('kgc/stack'), 'rev-parse', 'main')
  const theirs = git(
    one.server.folder('kgc/stack'),
    ...['-c', 'user.name=x', '-c', 'user.email=x@kgc.hu'],
    ...['commit-tree', `${there}^{tree}`, '-p', there, '-m', 'theirs'],
  )
  git(one.server.folder('kgc/stack'), 'branch', branch, theirs)
  const done = await one.run(['bump', 'shop', '1.1.0', '--yes'])
  assert.is(done.code, 3)
  assert.match(done.stderr, /Push forks\/shop-1\.1\.0[^]*rejected/)
  assert.is(git(one.server.folder('kgc/stack'), 'rev-parse', branch), theirs)
  assert.equal(one.github.pulls, [])
  one.close()
})

/** Commits something to the fork on the pinned release, and pins that. Out: the commit. */
async function ownCommit(one: Shop, files: Record<string, string>): Promise<string> {
  assert.is((await one.run(['init', '--yes'])).code, 0)
  writeAll(one.checkout, files)
  const own = commit(one.checkout, 'ours')
  git(one.checkout, 'push', '--quiet', one.server.folder('kgc/shop'), `${own}:refs/heads/kgc/1.0.0`)
  git(one.checkout, 'branch', 'kgc/1.0.0')
  one.pin(own)
  return own
}

test("the fork's own commits are merged with the release and pushed to the fork", async () => {
  const one = await shop()
  const own = await ownCommit(one, { 'lib/a.txt': 'ours\n' })
  const done = await one.run(['bump', 'shop', '1.1.0', '--yes'])
  assert.is(done.code, 0, done.stderr)
  const merged = git(one.server.folder('kgc/shop'), 'rev-parse', 'kgc/1.1.0')
  assert.is(gitlink(one), merged)
  assert.is(git(one.server.folder('kgc/shop'), 'show', `${merged}:lib/a.txt`), 'ours')
  assert.is(git(one.server.folder('kgc/shop'), 'show', `${merged}:app.txt`), '1.1.0')
  assert.is(git(one.checkout, 'rev-parse', 'HEAD'), own, 'the checkout is as it was')
  assert.match(one.github.pulls[0]?.body, "1 commits of the fork's own")
  one.close()
})

test('a conflict is reported with its files, nothing is lost, and a merge by hand is gone on with', async () => {
  const one = await shop()
  const own = await ownCommit(one, { 'app.txt': 'ours\n' })
  const conflict = await one.run(['bump', 'shop', '1.1.0', '--yes'])
  assert.is(conflict.code, 3)
  assert.match(
    conflict.stderr,
    /conflict with it in 1 files; nothing was changed\n\s+EVIDENCE\s+app\.txt/,
  )
  assert.match(conflict.stderr, `switch -c kgc/1.1.0 ${own}`)
  assert.is(git(one.checkout, 'rev-parse', 'HEAD'), own)
  assert.is(git(one.checkout, 'status', '--porcelain'), '')
  assert.is(git(one.checkout, 'worktree', 'list').split('\n').length, 1)
  assert.equal(one.github.pulls, [])
  // as NEXT says
  git(one.checkout, 'switch', '--quiet', '-c', 'kgc/1.1.0', own)
  git(one.checkout, 'merge', '--quiet', '-s', 'ours', '--no-edit', one.tags['v1.1.0']!)
  const done = await one.run(['bump', 'shop', '1.1.0', '--yes'])
  assert.is(done.code, 0, done.stderr)
  assert.is(gitlink(one), git(one.checkout, 'rev-parse', 'kgc/1.1.0'))
  one.close()
})

test("renovatebot/renovate#2032: upstream's notes name nobody, link to no issue, and stay within GitHub's limit", () => {
  assert.is(
    quoteNotes('@me <!-- x --> #7 fixes GH-12 https://github.com/a/b/pull/7 a@b'),
    '@\u200bme  x  #\u200b7 fixes GH-\u200b12 https://redirect.github.com/a/b/pull/7 a@\u200bb',
  )
  for (const line of ['x', '* by @a in https://github.com/a/b/pull/7\n'])
    assert.ok(quoteNotes(line.repeat(200_000)).length < 61_000)
})

test('rogerwelin/cassowary#38, ingydotnet/git-subrepo#601: a tag of the branch’s name and a killed run’s worktree are in nobody’s way', async () => {
  const one = await shop()
  git(one.box.root, 'tag', branch)
  const left = join(one.box.root, '..', `${one.box.root.split('/').at(-1)}-left`)
  git(one.box.root, 'worktree', 'add', '--quiet', '--detach', left)
  for (const what of ['makes it', 'finds it again']) {
    const done = await one.run(['bump', 'shop', '1.1.0', '--yes'])
    assert.is(done.code, 0, `${what}: ${done.stderr}`)
  }
  assert.is(gitlink(one, `refs/heads/${branch}`), one.tags['v1.1.0'])
  git(one.box.root, 'worktree', 'remove', left)
  one.close()
})

test.run()
