// Pins against a real registry, and what it keeps: listed, and removed but for what releases name.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { loadEnvironment, listEnvironments } from '../../../scripts/lib/kubernetes/environment.ts'
import { createReleaseConfigMap } from '../../../scripts/lib/kubernetes/releases.ts'
import { readPinFiles } from '../../../scripts/lib/images/pins-check.ts'
import { findPins } from '../../../scripts/lib/images/pins.ts'
import { kubeconfigOf, playProxy } from '../../unit/fake-kubectl.ts'
import { call, clean, folder, logIn, prepare, proxy, publish, registry, trust } from './registry.ts'
import { box, images, newSource } from './setup.ts'

const test = suite('pins and stock')
process.once('exit', clean)
prepare()
const real = registry(18203)
const { host: proxied, end } = await proxy(18204, real)
for (const host of [real.host, proxied]) trust(host)
const writer = logIn('writer', real.host)
const reader = logIn('reader', proxied)
newSource()
const names = [...readPinFiles().keys()]
const read = () => new Map(names.map(name => [name, readFileSync(join(box.root, name), 'utf8')]))

/** The registry's own name for an image: `a/b:1` becomes `host/pins/b:1`. */
const moved = (image: string) => `${real.host}/pins/${image.split('/').at(-1)}`
const pinned = findPins(readPinFiles())
const standing = (image: string) =>
  new RegExp(`(?<=[\\s=-])${image.replaceAll('.', '\\.')}(?![\\w.-])`, 'g')
for (const [name, text] of read())
  writeFileSync(
    join(box.root, name),
    pinned.reduce((all, { image }) => all.replaceAll(standing(image), moved(image)), text),
  )
const tags = findPins(read()).filter(({ image }) => image.startsWith(real.host))
const [gone, ...others] = tags.toSorted(
  (a, b) =>
    Number(b.places.some(place => place.digest)) - Number(a.places.some(place => place.digest)),
)
const digests = new Map<string, string>()
const put = async (image: string) => {
  const [, name, tag] = /^[^/]+\/(.+):(.+)$/.exec(image)!
  digests.set(image, await publish(real.host, name!, [tag!]))
}
for (const { image } of others) await put(image)
const pins = (...argv: string[]) => images(real.host, writer, ['pins', ...argv])
const bare = (files: Map<string, string>) =>
  new Map([...files].map(([name, text]) => [name, text.replaceAll(/@sha256:[0-9a-f]{64}/g, '')]))

test('a tag that is gone, a digest that is not its own, a digest that is missing: each is named, nothing is written', () => {
  const before = read()
  const { code, stdout, stderr } = pins()
  assert.is(code, 2, stderr)
  assert.match(stdout, new RegExp(`^${gone!.image} +gone +its registry has no such tag`, 'm'))
  for (const { image, places } of others) {
    const words = places.some(place => place.digest)
      ? `moved +sha256:\\w{12} is pinned and gone, the tag is ${digests.get(image)!.slice(0, 19)}`
      : 'no digest'
    assert.match(stdout, new RegExp(`^${image} +${words}`, 'm'))
  }
  assert.match(stderr, /NEXT\s+npx zx scripts\/images.ts pins --write/)
  assert.equal(read(), before)
})

test('--write sets them in Compose, Kubernetes and Dockerfile in step, and leaves the rest of every file', async () => {
  const before = read()
  assert.is(pins('--write').code, 2, 'one tag is still gone')
  assert.equal(bare(read()), bare(before))
  await put(gone!.image)
  const { code, stderr } = pins('--write')
  assert.is(code, 0, stderr)
  for (const { image, places } of findPins(read()))
    if (digests.has(image))
      for (const { file, line, digest } of places)
        assert.is(digest, digests.get(image), `${file}:${line}`)
  assert.equal(
    [...new Set(tags.flatMap(({ places }) => places.map(({ file }) => file.split('/')[1])))].sort(),
    ['docker', 'k8s', 'monitoring'],
  )
})

test('a second --write has nothing to do', () => {
  const before = read()
  const { code, stderr } = pins('--write')
  assert.is(code, 0, stderr)
  assert.not.match(stderr, 'written')
  assert.equal(read(), before)
})

test('a registry that is silent is said; the others are judged all the same', () => {
  const file = join(box.docker, 'common.yml')
  const text = readFileSync(file, 'utf8')
  writeFileSync(file, text.replace(/image: \S+postgres\S+/, 'image: 127.0.0.1:19999/x/postgres:1'))
  const { code, stdout, stderr } = pins()
  writeFileSync(file, text)
  assert.is(code, 3, stderr)
  assert.match(stderr, /WHY\s+1 of \d+ could not be checked[^]*127.0.0.1:19999 cannot be reached/)
  assert.match(stdout, /^\S+redis\S+ +good/m)
})

const commits = ['1', '2', '3', '4', '5'].map(digit => digit.repeat(40))
const versions = await Promise.all(
  commits.map((commit, day) =>
    publish(real.host, 'kgc/kgc-api', [commit], `2026-02-0${day + 1}T00:00:00Z`),
  ),
)
await publish(real.host, 'kgc/kgc-api', ['main', '6'.repeat(40)], '2026-01-01T00:00:00Z')
/** Attestations, younger than every image. */
const signed = versions.slice(0, 2).map(digest => digest.replace(':', '-'))
for (const tag of signed) await publish(real.host, 'kgc/kgc-api', [tag], '2026-03-01T00:00:00Z')
const bin = join(folder, 'bin')
const answer = join(folder, 'releases.json')
mkdirSync(bin)
writeFileSync(
  join(bin, 'kubectl'),
  `#!/bin/sh\n${playProxy}\nif [ -f ${answer} ]; then cat ${answer}; else echo 'the server is away' >&2; exit 1; fi\n`,
  { mode: 0o755 },
)
const contexts = listEnvironments().flatMap(name => loadEnvironment(name).context ?? [])
const cluster = {
  PATH: `${bin}${delimiter}${process.env.PATH}`,
  KUBECONFIG: kubeconfigOf('any', ...contexts),
}
const stock = (host: string, config: string, ...argv: string[]) => {
  const place = join(box.root, 'infra/k8s/overlays/production/environment.yaml')
  writeFileSync(place, readFileSync(place, 'utf8').replace(/^images: .*/m, `images: ${host}/kgc`))
  return images(host, config, ['list', ...argv], { env: cluster })
}
const left = async () =>
  (JSON.parse((await call(real.host, 'kgc/kgc-api/tags/list')).body).tags as string[]).sort()
const release = {
  number: 7,
  ending: 'succeeded',
  what: 'deploy',
  who: 'x',
  started: '2026-01-01T00:00:00Z',
} as const
const named = { [`${real.host}/kgc/kgc-api:x`]: versions[0]! }

test('while a cluster cannot be asked nothing is removed', async () => {
  const before = await left()
  assert.is(stock(real.host, writer).code, 0)
  const { code, stdout, stderr } = stock(real.host, writer, '--prune', '--commits', '--keep', '1')
  assert.is(code, 3, stderr)
  assert.match(stderr, /WHY\s+the releases of production cannot be read[^]*the server is away/)
  assert.match(stdout, new RegExp(`${versions[4]!.slice(0, 19)} .* \\?`))
  assert.equal(await left(), before)
})

test('the versions are listed with the releases that name them; without --commits a tag keeps a version', async () => {
  writeFileSync(
    answer,
    JSON.stringify({
      items: [createReleaseConfigMap({ ...release, images: named, manifests: [] })],
    }),
  )
  const { code, stdout, stderr } = stock(real.host, writer, '--prune', '--keep', '1')
  assert.is(code, 0, stderr)
  assert.match(
    stdout,
    new RegExp(`${commits[0]} +${versions[0]!.slice(0, 19)} +0\\.0 MB +\\d+ d +production 7`),
  )
  assert.match(stderr, /lists no versions without a tag[^]*nothing to remove/)
  assert.is((await left()).length, 9)
})

test('--prune --commits removes old ones and their attestations; neither what a release names, nor the newest, nor what has another tag', async () => {
  const argv = ['--prune', '--commits', '--keep', '2'] as const
  assert.match(stock(real.host, writer, ...argv, '--dry-run').stderr, '3 would be removed')
  const denied = stock(proxied, reader, ...argv)
  assert.is(denied.code, 3, denied.stderr)
  assert.match(denied.stderr, /denies it \(403.*lacks delete:packages/)
  assert.is((await left()).length, 9)
  const { code, stderr } = stock(real.host, writer, ...argv)
  assert.is(code, 0, stderr)
  assert.equal(
    await left(),
    [commits[0], commits[3], commits[4], '6'.repeat(40), 'main', signed[0]].sort(),
  )
  assert.match(stock(real.host, writer, ...argv).stderr, 'nothing to remove')
})

test('where no environment has its images nothing is removed', () => {
  const { code, stderr } = images(real.host, writer, ['list', '--prune', '--commits'], {
    env: { ...cluster, KGC_REGISTRY: `${real.host}/else` },
  })
  assert.is(code, 3)
  assert.match(stderr, /no environment has its images there/)
})

test('a password is in no output, and in no command that is run', () => {
  const { stderr, stdout } = images(real.host, writer, ['push', 'kgc-api'], { env: { DEBUG: '1' } })
  assert.match(stderr, /^\$ docker push /m)
  const logIn = Buffer.from('writer:writer-password').toString('base64')
  for (const secret of ['writer-password', logIn])
    assert.not.ok(`${stdout}${stderr}`.includes(secret))
})

test.after(end)

test.run()
