// What Renovate would see; its own program is too big to be installed for a test.
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { repository } from '../sandbox.ts'

const test = suite('renovate')
type Json = Record<string, any>
const config = JSON.parse(readFileSync(join(repository, '.github/renovate.json'), 'utf8')) as Json
const files = execFileSync('git', ['ls-files', 'infra', 'package.json', '.github'], {
  cwd: repository,
  encoding: 'utf8',
})
  .trim()
  .split('\n')
const ignored = (file: string) =>
  (config.ignorePaths as string[]).some(path => file.startsWith(path.replace('**', '')))
const patterns = (list: string[]) => list.map(text => new RegExp(text.slice(1, -1)))

test('every file that names an image is one that it reads', () => {
  const compose = patterns(config['docker-compose'].managerFilePatterns)
  const kubernetes = patterns(config.kubernetes.managerFilePatterns)
  const image = /^\s*(- )?image: *["']?[^\s$"']/m
  const named = files.filter(
    file =>
      /\.ya?ml$/.test(file) &&
      !ignored(file) &&
      image.test(readFileSync(join(repository, file), 'utf8')),
  )
  assert.ok(named.length >= 10)
  for (const file of named)
    assert.is([...compose, ...kubernetes].filter(pattern => pattern.test(file)).length, 1, file)
  const both = ['docker', 'k8s'].map(
    engine => named.filter(file => file.startsWith(`infra/${engine}/`)).length,
  )
  assert.ok(both[0]! && both[1]!, 'Compose and Kubernetes')
})

test('the commit of KGC is found once one is pinned', () => {
  const [{ managerFilePatterns, matchStrings }] = config.customManagers as [Json]
  const file = files.find(one => patterns(managerFilePatterns).some(pattern => pattern.test(one)))!
  const text = readFileSync(join(repository, file), 'utf8').replace(
    /^KGC_REF=.*$/m,
    `KGC_REF=${'c'.repeat(40)}`,
  )
  assert.is(new RegExp(matchStrings[0]).exec(text)?.groups?.currentDigest, 'c'.repeat(40))
})

test('nothing comes sooner than after 7 days, but what no registry dates, and that a person lets through', () => {
  assert.is(config.minimumReleaseAge, '7 days')
  for (const rule of config.packageRules as Json[]) {
    if (rule.minimumReleaseAge) assert.equal(rule.matchDepNames, ['kgc'])
    if (rule.minimumReleaseAgeBehaviour === 'timestamp-optional')
      assert.is(rule.dependencyDashboardApproval, true)
  }
})

test.run()
