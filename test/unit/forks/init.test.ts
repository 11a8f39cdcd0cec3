import { execFile, execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { commit, git, initialize } from '../../git.ts'
import { pass } from '../../github.ts'
import { waitUntil } from '../../until.ts'
import { shop } from './setup.ts'

const test = suite('forks init')

test('init makes the fork, points .gitmodules at it and fetches the pinned commit alone; a second run changes nothing', async () => {
  const one = await shop()
  const done = await one.run(['init', '--yes'])
  assert.is(done.code, 0, done.stderr)
  assert.is(one.about['kgc/shop']?.parent, 'acme/shop')
  assert.match(one.read('.gitmodules'), `url = ${one.server.address('kgc/shop')}\n`)
  assert.is(git(one.checkout, 'rev-parse', 'HEAD'), one.tags['v1.0.0'])
  assert.is(git(one.checkout, 'status', '--porcelain'), '')
  assert.is(git(one.checkout, 'rev-list', '--count', '--all'), '1')
  assert.is(git(one.checkout, 'remote', 'get-url', 'origin'), one.server.address('kgc/shop'))
  assert.is(git(one.checkout, 'remote', 'get-url', 'upstream'), one.server.address('acme/shop'))
  assert.match(git(one.checkout, 'remote', 'get-url', '--push', 'upstream'), 'never')
  assert.match(
    git(one.box.root, 'submodule', 'status'),
    new RegExp(`^.?${one.tags['v1.0.0']} forks/shop`),
  )
  one.server.traffic.requests.length = 0
  const asked = one.github.requests.length
  const again = await one.run(['init'])
  assert.is(again.code, 0, again.stderr)
  assert.match(again.stdout, 'Nothing to do')
  assert.equal(one.server.traffic.requests, [])
  assert.ok(one.github.requests.slice(asked).every(request => request.startsWith('GET ')))
  one.close()
})

test('what others see is asked for: --dry-run says it, and without a terminal it needs --yes', async () => {
  const one = await shop()
  const dry = await one.run(['init', '--dry-run'])
  assert.is(dry.code, 0, dry.stderr)
  assert.match(dry.stdout, /fork acme\/shop into kgc: .*\n.*\.gitmodules.*\nfetch /)
  const refused = await one.run(['init'])
  assert.is(refused.code, 3)
  assert.match(refused.stderr, /not confirmed[^]*fork acme\/shop into kgc[^]*--yes/)
  assert.not.ok(one.about['kgc/shop'])
  assert.not.ok(existsSync(join(one.checkout, '.git')))
  assert.is(git(one.box.root, 'status', '--porcelain', '--ignore-submodules'), '')
  one.close()
})

test('without an owner, and where the name is taken by what is no fork, nothing is made', async () => {
  const nobody = await shop({ owner: '' })
  const none = await nobody.run(['init', '--yes'])
  assert.is(none.code, 2)
  assert.match(none.stderr, /whose the forks shall be is not set[^]*--owner NAME/)
  nobody.close()
  const one = await shop()
  one.about['kgc/shop'] = {}
  const taken = await one.run(['init', '--yes'])
  assert.is(taken.code, 3)
  assert.match(taken.stderr, 'it is no fork of acme/shop')
  // https://github.com/cli/cli/issues/7701
  one.about['kgc/shop'] = { parent: 'acme/shop', renamed: 'kgc/shop-old' }
  const renamed = await one.run(['init', '--yes'])
  assert.is(renamed.code, 3)
  assert.match(renamed.stderr, 'its name is kgc/shop-old now')
  assert.not.ok(existsSync(join(one.checkout, '.git')))
  one.close()
})

test('a fetch that breaks off, and a process that is killed while it checks out, are gone on with', async () => {
  const two = await shop()
  // the second try breaks off, too
  two.server.cut.fetches = 2
  const failed = await two.run(['init', '--yes'])
  assert.is(failed.code, 3, failed.stderr)
  assert.match(failed.stderr, /EVIDENCE[^]*(early EOF|RPC failed|fetch-pack|hung up|disconnect)/)
  // as SIGKILL leaves it
  writeFileSync(join(two.checkout, '.git/index.lock'), '')
  writeFileSync(join(two.checkout, '.git/shallow.lock'), '')
  const resumed = await two.run(['init', '--yes'])
  assert.is(resumed.code, 0, resumed.stderr)
  const modules = join(two.box.root, '.git/modules/forks/shop')
  assert.equal(readdirSync(two.checkout).sort(), ['.git', 'app.txt', 'lib'])
  // killed while another pin was checked out: half of its files are there
  two.pin(two.tags['v1.1.0']!)
  writeFileSync(join(modules, 'kgc-checkout'), `${two.tags['v1.1.0']}\n`)
  writeFileSync(join(modules, 'index.lock'), '')
  writeFileSync(join(two.checkout, 'app.txt'), 'ha')
  const again = await two.run(['init', '--yes'])
  assert.is(again.code, 0, again.stderr)
  assert.is(readFileSync(join(two.checkout, 'app.txt'), 'utf8'), '1.1.0\n')
  // a checkout that git itself takes for whole (https://github.com/boxlite-ai/boxlite/issues/1450)
  rmSync(join(modules, 'index'))
  rmSync(join(two.checkout, 'app.txt'))
  assert.is((await two.run(['init'])).code, 0)
  assert.is(readFileSync(join(two.checkout, 'app.txt'), 'utf8'), '1.1.0\n')
  two.close()
})

test('changes and commits of a checkout are not lost: init refuses to take another commit', async () => {
  const one = await shop()
  assert.is((await one.run(['init', '--yes'])).code, 0)
  one.pin(one.tags['v1.1.0']!)
  writeFileSync(join(one.checkout, 'mine.txt'), 'mine')
  const changed = await one.run(['init'])
  assert.is(changed.code, 3)
  assert.match(changed.stderr, /changes that are in no commit[^]*stash -u/)
  const mine = commit(one.checkout, 'mine')
  const lonely = await one.run(['init'])
  assert.is(lonely.code, 3)
  assert.match(lonely.stderr, /is on no branch[^]*branch my-work/)
  assert.is(git(one.checkout, 'rev-parse', 'HEAD'), mine)
  git(one.checkout, 'branch', 'my-work')
  const kept = await one.run(['init'])
  assert.is(kept.code, 0, kept.stderr)
  assert.is(git(one.checkout, 'rev-parse', 'HEAD'), one.tags['v1.1.0'])
  assert.is(git(one.checkout, 'rev-parse', 'my-work'), mine)
  one.close()
})

test('googleapis/code-suggester#15: a fork that is there under another name is to be renamed, never removed', async () => {
  const one = await shop()
  const there = JSON.stringify({ full_name: 'kgc/shop-1' })
  const json = { 'Content-Type': 'application/json' }
  one.github.answers.push(pass, pass, response => response.writeHead(202, json).end(there))
  const done = await one.run(['init', '--yes'])
  assert.is(done.code, 5, done.stderr)
  assert.match(done.stderr, /its fork there is kgc\/shop-1\n.*rename it to shop on GitHub/)
  assert.not.match(done.stderr, 'remove')
  one.close()
})

test('mislav/hub#301, scala-steward-org/scala-steward#472: a fork that GitHub still copies is waited for, after an interruption too', async () => {
  const one = await shop()
  one.about['kgc/shop'] = { parent: 'acme/shop', created: new Date() }
  const running = one.run(['init'])
  await waitUntil('git asks for the fork', 30, () =>
    one.server.traffic.requests.some(request => request.includes('/kgc/shop')),
  )
  one.server.serve('kgc/shop', one.server.folder('acme/shop'))
  const done = await running
  assert.is(done.code, 0, done.stderr)
  assert.match(done.stderr, 'GitHub is still copying')
  assert.is(git(one.checkout, 'rev-parse', 'HEAD'), one.tags['v1.0.0'])
  one.close()
})

test('one at a time: a run that goes on is named, one that was killed keeps nobody out; in a worktree, too', async () => {
  const one = await shop()
  const elsewhere = `${one.box.root}-git`
  // as a worktree has it, git then names its files from the root
  git(one.box.root, 'init', '--quiet', '--separate-git-dir', elsewhere)
  const lock = join(elsewhere, 'kgc-forks.lock')
  mkdirSync(lock)
  writeFileSync(join(lock, 'pid'), String(process.pid))
  const busy = await one.run(['init', '--yes'])
  assert.is(busy.code, 4, busy.stderr)
  assert.match(busy.stderr, `process ${process.pid} does`)
  // beyond the greatest number that Linux gives
  writeFileSync(join(lock, 'pid'), '4999999')
  const done = await one.run(['init', '--yes'])
  assert.is(done.code, 0, done.stderr)
  assert.not.ok(existsSync(lock))
  rmSync(elsewhere, { recursive: true })
  one.close()
})

test('libgit2/libgit2#3390: a submodule whose name is not its path keeps its name', async () => {
  const one = await shop()
  const text = one.read('.gitmodules').replace('"forks/shop"', '"the shop"')
  writeFileSync(join(one.box.root, '.gitmodules'), text)
  const done = await one.run(['init', '--yes'])
  assert.is(done.code, 0, done.stderr)
  assert.is(
    one.read('.gitmodules'),
    text.replace(/url = .*/, `url = ${one.server.address('kgc/shop')}`),
  )
  assert.match((await one.run(['init'])).stdout, 'Nothing to do')
  one.close()
})

// https://github.com/AppImage/AppImageKit/issues/511
test('a commit that the fork does not have comes from upstream, and that is said', async () => {
  const one = await shop()
  one.about['kgc/shop'] = { parent: 'acme/shop' }
  one.server.serve('kgc/shop', one.server.folder('acme/shop'))
  writeFileSync(join(one.source, 'app.txt'), 'newer\n')
  const newer = commit(one.source, 'newer')
  one.publish()
  one.pin(newer)
  const done = await one.run(['init'])
  assert.is(done.code, 0, done.stderr)
  assert.match(done.stderr, `origin does not have ${newer.slice(0, 12)}, so it comes from upstream`)
  assert.is(readFileSync(join(one.checkout, 'app.txt'), 'utf8'), 'newer\n')
  one.close()
})

test('a folder with files of somebody is not taken over', async () => {
  const one = await shop()
  mkdirSync(one.checkout, { recursive: true })
  writeFileSync(join(one.checkout, 'app.txt'), 'mine')
  const done = await one.run(['init', '--yes'])
  assert.is(done.code, 3)
  assert.match(done.stderr, 'it has files and is no checkout')
  assert.is(readFileSync(join(one.checkout, 'app.txt'), 'utf8'), 'mine')
  one.close()
})

test('a submodule from anywhere else is refused by forks and bootstrap, without its login', async () => {
  const one = await shop()
  const right = one.read('.gitmodules')
  writeFileSync(
    join(one.box.root, '.gitmodules'),
    right.replace(/url = .*/, 'url = https://me:canary@github.com/horlogg/shop.git'),
  )
  for (const words of [
    ['forks', 'status'],
    ['forks', 'init', '--yes'],
    ['bootstrap', '--plan'],
  ]) {
    const done = await one.box.inProcess(words, one.env)
    assert.is(done.code, 3, done.stderr)
    assert.match(
      done.stderr,
      /forks\/shop comes from https:\/\/github\.com\/horlogg\/shop\.git \(\.gitmodules\)/,
    )
    assert.not.match(done.stderr + done.stdout, 'canary')
  }
  writeFileSync(join(one.box.root, '.gitmodules'), right)
  git(one.box.root, 'config', 'submodule.forks/shop.url', 'https://github.com/horlogg/shop.git')
  const local = await one.run(['init', '--yes'])
  assert.is(local.code, 3)
  assert.match(local.stderr, '(.git/config)')
  // jelmer/dulwich#1224: what git cannot read is not taken for no submodule
  writeFileSync(join(one.box.root, '.gitmodules'), `${right}[submodule\n`)
  for (const words of [
    ['forks', 'status'],
    ['bootstrap', '--plan'],
  ]) {
    const broken = await one.box.inProcess(words, one.env)
    assert.is(broken.code, 2, broken.stderr)
    assert.match(broken.stderr, /bad config line 5 in file \.gitmodules/)
  }
  one.close()
})

/** 500 commits, each with another binary of 20 KB. */
function makeLongHistory(folder: string): Record<string, string> {
  initialize(folder)
  const commits = Array.from({ length: 500 }, (_, i) => [
    `commit refs/heads/main\nmark :${i + 1}\ncommitter t <t@kgc.hu> ${1_750_000_000 + i} +0000\ndata 1\nx\n`,
    'M 100644 inline image.bin\ndata 20000\n',
    randomBytes(20_000),
    `\nM 100644 inline text.txt\ndata 4\n${String(i).padStart(4, '0')}\n`,
  ])
  const tag = 'reset refs/tags/v1.0.0\nfrom :500\n'
  const input = Buffer.concat([...commits.flat(), tag].map(part => Buffer.from(part)))
  execFileSync('git', ['-C', folder, 'fast-import', '--quiet'], { input })
  git(folder, 'reset', '--quiet', '--hard')
  return { 'v1.0.0': git(folder, 'rev-parse', 'HEAD') }
}

test('init of one fork transfers at most 5 % of a full clone, with its checkout', async () => {
  const one = await shop({ upstream: makeLongHistory })
  assert.is((await one.run(['init', '--yes'])).code, 0)
  const sent = one.server.traffic.sent
  one.server.traffic.sent = 0
  const target = join(one.box.root, 'full')
  await promisify(execFile)('git', ['clone', '--quiet', one.server.address('acme/shop'), target])
  const full = one.server.traffic.sent
  const share = ((100 * sent) / full).toFixed(2)
  console.log(`  init: ${sent} of the ${full} bytes of a full clone (${share} %)`)
  assert.ok(full > 9_000_000, `${full} bytes of a full clone`)
  assert.ok(sent <= full * 0.05, `${sent} of ${full} bytes`)
  assert.ok(existsSync(join(one.checkout, 'image.bin')))
  one.close()
})

test.run()
