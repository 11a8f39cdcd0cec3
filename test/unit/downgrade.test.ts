// A deploy of what is older than what serves: told by the releases that served, by git, or not at
// all.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { DeployRequest } from '../../scripts/lib/deploy/change.ts'
import type { PreflightResult } from '../../scripts/lib/deploy/preflight.ts'
import { confirmChange } from '../../scripts/lib/deploy/start.ts'
import {
  findDowngrades,
  compareCommits,
  refuseDowngrade,
} from '../../scripts/lib/deploy/preflight/downgrade.ts'
import { PreflightProblems } from '../../scripts/lib/deploy/preflight/problems.ts'
import type { Release } from '../../scripts/lib/kubernetes/releases.ts'
import { commit, git, initialize } from '../git.ts'
import { environment, withFakeKubectl } from './fake-kubectl.ts'

const test = suite('downgrade')
const folder = mkdtempSync(join(tmpdir(), 'kgc-older-'))
process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
const repository = join(folder, 'repository')
mkdirSync(repository)
initialize(repository)
const [first, second, third] = ['1', '2', '3'].map(message => commit(repository, message)) as [
  string,
  string,
  string,
]
git(repository, 'checkout', '--quiet', '-b', 'side', first)
const side = commit(repository, 'side')
const cut = join(folder, 'cut')
git(folder, 'clone', '--quiet', '--depth', '1', '--branch', 'main', `file://${repository}`, cut)
git(cut, 'fetch', '--quiet', '--depth', '1', 'origin', 'side')

const unknown = 'f'.repeat(40)
const image = 'ghcr.io/kgc/api'
const release = (
  number: number,
  of: string | undefined,
  tag: string,
  more: Partial<Release> = {},
): Release => ({
  ...{
    number,
    ending: 'succeeded',
    what: 'deploy',
    who: 'anna',
    commit: of,
    started: 'then',
    images: { [`${image}:${tag}`]: 'sha256:1' },
    heads: { kgc: `${number} migrations` },
  },
  ...more,
})

test('git tells which of two commits is older, a history that is cut off only what it has', async () => {
  const asked = (a: string, b: string, where = repository) => compareCommits(where, a, b)
  assert.equal(
    await Promise.all([
      asked(first, third),
      asked(third, first),
      asked(side, third),
      asked(unknown, third),
    ]),
    ['older', 'newer', 'apart', 'unknown'],
  )
  assert.equal(
    await Promise.all([
      asked(first, third, cut),
      asked(side, third, cut),
      asked(first, third, folder),
    ]),
    ['unknown', 'unknown', 'unknown'],
  )
})

const says = async (
  of: string | undefined,
  history: Release[],
  tag?: string,
  source: string | undefined = repository,
) =>
  (await findDowngrades({ commit: of, tag, names: [image], source }, history)).map(
    ({ older, words }) => `${older ? 'older' : 'asks'}: ${words}`,
  )

test('alphagov/govuk-design-system#1946: what served before what serves is older, with how far the databases are', async () => {
  const history = [
    release(3, unknown, 'new'),
    release(2, second, 'mid', { ending: 'rolled back' }),
    release(1, first, 'old'),
  ]
  const moved = 'its databases have been migrated since: kgc: 1 migrations then, 3 migrations now'
  assert.equal(await says(first, history), [
    `older: release 3 serves, of commit ffffffffffff; ${first.slice(0, 12)} served before it, in release 1; ${moved}`,
  ])
  assert.equal(await says(`${first}-dirty`, history), [
    `older: release 3 serves, of commit ffffffffffff; ${first.slice(0, 12)} served before it, in release 1; ${moved}`,
  ])
  assert.equal(await says(unknown, history, 'old'), [
    `older: release 3 serves, of tag new; old served before it, in release 1; ${moved}`,
  ])
  // what went back by itself has never served
  assert.match(
    (await says(second, history))[0]!,
    /^asks: .*it is not known whether \w+ is older; its databases are at: kgc 3 migrations$/,
  )
})

test('what was taken back is refused, too, and what serves is not', async () => {
  const history = [
    release(3, first, 'a', { what: 'rollback to 1' }),
    release(2, second, 'b'),
    release(1, first, 'a'),
  ]
  assert.match((await says(second, history))[0]!, 'served before it, in release 2')
  assert.equal(
    [await says(first, history), await says(first, history, 'a'), await says(unknown, [])],
    [[], [], []],
  )
})

test('a tag is looked up where its commits are, and asked for where they are not', async () => {
  const history = [release(4, unknown, third)]
  assert.match(
    (await says(unknown, history, second))[0]!,
    `older: release 4 serves, of tag ${third.slice(0, 12)}; ${second.slice(0, 12)} is older, an ancestor of it`,
  )
  assert.equal(await says(unknown, [release(4, unknown, second)], third), [])
  assert.match((await says(unknown, history, second, ''))[0]!, /^asks: .*it is not known whether/)
  assert.equal(await says(undefined, history), [
    'asks: release 4 serves, of commit ffffffffffff; the commit to deploy is not known',
  ])
  // a release of no commit is older than nothing
  assert.equal(await says(second, [release(4, undefined, 'x')]), [])
})

test('without a terminal all of it is refused, with both ways on; a reason passes it', async () => {
  const history = [release(2, unknown, 'b'), release(1, first, 'a')]
  for (const commit of [first, second]) {
    const refusals = new PreflightProblems()
    assert.equal(
      await refuseDowngrade({ commit, names: [] }, history, refusals, undefined, false),
      [],
    )
    assert.match(
      refusals.messages[0]!,
      /^release 2 serves.*; to go back use rollback\.ts; to deploy it anyway: --again --reason "…"$/,
    )
    const [passed, asked] = [new PreflightProblems(), new PreflightProblems()]
    // at a terminal what cannot be told is asked
    const questions = await refuseDowngrade({ commit, names: [] }, history, asked, undefined, true)
    assert.equal([questions.length, asked.messages.length], commit === first ? [0, 1] : [1, 0])
    assert.equal(
      [
        await refuseDowngrade({ commit, names: [] }, history, passed, 'the audit wants it', false),
        passed.messages,
      ],
      [[], []],
    )
  }
})

test('what cannot be told is asked before it begins, and anything but yes is a no', async () => {
  const asked = async (answer: string) => {
    const { stdin } = process
    const terminal = new PassThrough()
    Object.defineProperty(process, 'stdin', { value: terminal, configurable: true })
    try {
      const request = { environment, yes: true, verb: 'deploy' } as DeployRequest
      const facts = {
        questions: ['release 2 serves, it is not known whether it is older'],
      } as PreflightResult
      return await withFakeKubectl('true', () => {
        terminal.write(`${answer}\n`)
        return confirmChange(request, facts)
      })
    } finally {
      Object.defineProperty(process, 'stdin', { value: stdin, configurable: true })
    }
  }
  const no = await asked('y')
  assert.equal(
    [no.error!.code, no.error!.why],
    [
      3,
      'release 2 serves, it is not known whether it is older; not confirmed; nothing was touched',
    ],
  )
  assert.match(no.said, 'Type yes to continue')
  assert.is((await asked('yes')).error, undefined)
})

test.run()
