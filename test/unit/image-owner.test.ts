// Whose the images and their source are: one key, and all that names the owner by it.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { parse } from 'yaml'
import { PreflightProblems } from '../../scripts/lib/deploy/preflight/problems.ts'
import { resolveImageDigests } from '../../scripts/lib/deploy/preflight/images.ts'
import type { Failure } from '../../scripts/lib/errors.ts'
import {
  unsetRegistry,
  findOwnerlessImages,
  readImageOwner,
  findNamedOwners,
  registryForOwner,
  requireOwner,
  writeOwner,
} from '../../scripts/lib/images/owner.ts'
import { repository, sandbox } from '../sandbox.ts'

const test = suite('owner')
const failureOf = (work: () => unknown) => {
  try {
    work()
  } catch (error) {
    return error as Failure
  }
  throw new Error('it did not fail')
}
const read = (file: string, root = repository) => readFileSync(join(root, file), 'utf8')
const buildFile = 'infra/docker/docker-compose.build.yml'
/** The images that are built here, by their last name: whoever adds one adds it there. */
const names = Object.values(
  (parse(read(buildFile)) as { services: Record<string, { image: string }> }).services,
).map(({ image }) => /([\w-]+):[^/]*$/.exec(image)![1]!)

/**
 * Where an image that is built here has another registry than the owner's: in YAML and JSON, in
 * whatever way it stands there.
 */
function strangers(root: string): string[] {
  const { name } = readImageOwner(root)
  const image = new RegExp(
    `((?:\\w[\\w-]*\\.)+\\w+(?::\\d+)?(?:/[\\w-]+)*)\\}?/(?:${names.join('|')})(?=[:\\s,"'@]|$)`,
    'g',
  )
  const files = [...new Set(findNamedOwners(root).map(({ file }) => file))]
  return files.flatMap(file =>
    [...read(file, root).matchAll(image)].flatMap(([, registry]) =>
      registry === registryForOwner(name) || /kgc-demo$/.test(registry!)
        ? []
        : [`${file}: ${registry}`],
    ),
  )
}

test('all that names an owner names the one of the key, in Compose, Kubernetes, and what Renovate reads', () => {
  const { name } = readImageOwner()
  const all = findNamedOwners()
  assert.equal(
    all.filter(({ found, expected }) => found !== expected(name)),
    [],
  )
  assert.equal(strangers(repository), [])
  for (const place of [
    'infra/docker/kgc/',
    buildFile,
    'infra/k8s/base/',
    'infra/k8s/overlays/staging/',
    'infra/k8s/overlays/production/',
    '.github/renovate.json',
  ])
    assert.ok(
      all.some(({ file }) => file.startsWith(place)),
      place,
    )
})

test('the command writes an owner wherever he must be named, changes him, and does nothing the second time', () => {
  const copy = sandbox(['infra', '.github', '.env.example'])
  for (const name of ['zoli-1', 'other']) {
    const changed = writeOwner(name, copy.root)
    assert.ok(
      changed.includes('infra/docker/kgc/.env.example') &&
        changed.includes('.github/renovate.json'),
      changed.join(),
    )
    assert.is(readImageOwner(copy.root).name, name)
    assert.equal([...new Set(findNamedOwners(copy.root).map(({ found }) => found))].sort(), [
      `ghcr.io/${name}`,
      `github.com/${name}`,
    ])
    assert.equal(strangers(copy.root), [])
    for (const file of changed)
      assert.not.match(
        read(file, copy.root).replace(/^#.*$/gm, ''),
        /unset\.invalid|zoli-1\/.*other/,
      )
    assert.equal(writeOwner(name, copy.root), [])
  }
  const { packageNameTemplate } = JSON.parse(read('.github/renovate.json', copy.root))
    .customManagers[0]
  assert.match(packageNameTemplate, /^https:\/\/github\.com\/other\/[\w.-]+$/)
  copy.remove()
})

test('an upper-case owner is refused with the lower-case one, as is what can be no owner; nothing is written', () => {
  const copy = sandbox(['infra', '.github', '.env.example'])
  const upper = failureOf(() => writeOwner('ZoliJavos', copy.root))
  assert.equal([upper.code, upper.next], [2, 'npx zx scripts/env.ts --owner zolijavos'])
  for (const name of ['', 'a/b', 'a--b', '-a', 'a_b', 'a'.repeat(40)])
    assert.is(failureOf(() => writeOwner(name, copy.root)).code, 2, name)
  assert.is(read('infra/docker/kgc/.env.example', copy.root), read('infra/docker/kgc/.env.example'))
  copy.remove()
})

test('without an owner whoever pulls, pushes or deploys hears which key to set', async () => {
  const image = `${unsetRegistry}/kgc-api:1`
  assert.equal(findOwnerlessImages([image, image, 'postgres:17']), [image])
  const { code, why, next } = failureOf(() =>
    requireOwner('Push the images', [image, 'postgres:17']),
  )
  assert.equal([code, why], [2, `the owner of the images is not set: ${image}`])
  assert.is(
    next,
    'npx zx scripts/env.ts --owner NAME   (sets KGC_OWNER in infra/docker/kgc/.env.example)',
  )
  requireOwner('Push the images', ['ghcr.io/o/kgc-api:1'])
  const refusals = new PreflightProblems()
  const spec = { template: { spec: { containers: [{ name: 'api', image }] } } }
  await resolveImageDigests(
    [{ apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'api' }, spec }],
    undefined,
    refusals,
    () => {},
  )
  assert.equal(refusals.messages, [
    `the owner of the images is not set, for example of ${image}: ${next}`,
  ])
})

test.run()
