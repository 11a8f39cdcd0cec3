// The image with KGC's own Python packages, built on a small base that is laid out as Horilla's: a
// venv that root owns, and appuser.
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { beforeAll } from '../hooks.ts'
import { repository } from '../sandbox.ts'

const test = suite("Horilla's image")
const folder = join(repository, 'infra/docker/horilla-hr')
const base = `kgc-test/horilla-base:${process.pid}`
const image = `kgc-test/horilla-hr:${process.pid}`
const context = mkdtempSync(join(tmpdir(), 'kgc-horilla-'))

/** Packages and their exact versions, as requirements.txt has them. */
const wanted = readFileSync(join(folder, 'requirements.txt'), 'utf8')
  .split('\n')
  .filter(line => line && !line.startsWith('#'))

const baseFile = `
FROM kgc-demo/base:trixie
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked --mount=type=cache,target=/var/lib/apt,sharing=locked \\
    apt-get update -qq && apt-get install -y -qq --no-install-recommends python3-venv \\
    && python3 -m venv /opt/venv && useradd --uid 1000 --create-home appuser
ENV PATH=/opt/venv/bin:$PATH
WORKDIR /app
USER appuser
`

/** What the build may need on this machine, and an ordinary one does not. */
function secrets(): string[] {
  const files = {
    ca: process.env.PIP_CERT ?? '/etc/ssl/certs/ca-certificates.crt',
    pip: process.env.PIP_CONFIG_FILE ?? '',
  }
  return Object.entries(files).flatMap(([id, src]) =>
    existsSync(src) ? ['--secret', `id=${id},src=${src}`] : [],
  )
}

/** Throws with the build's last lines. */
function build(tag: string, ...argv: string[]) {
  const done = spawnSync(
    'docker',
    ['buildx', 'build', '--progress', 'plain', '--tag', tag, ...argv],
    { encoding: 'utf8', timeout: 600_000 },
  )
  if (done.status !== 0)
    throw new Error(`${tag}: ${done.stderr.trim().split('\n').slice(-15).join('\n')}`)
}

/** Python in the image, as its own user. */
const python = (...argv: string[]) =>
  execFileSync('docker', ['run', '--rm', '--network', 'none', image, 'python', ...argv], {
    encoding: 'utf8',
    timeout: 120_000,
  }).trim()

beforeAll(test, () => {
  execFileSync(join(repository, 'infra/demo/base/build.sh'), { stdio: 'ignore', timeout: 300_000 })
  writeFileSync(join(context, 'Dockerfile'), baseFile)
  build(base, context)
  build(image, '--build-arg', `HORILLA_BASE=${base}`, ...secrets(), folder)
})

test.after(() => {
  rmSync(context, { recursive: true })
  spawnSync('docker', ['image', 'rm', '--force', image, base], { stdio: 'ignore' })
})

test('every package is pinned to one version', () => {
  assert.ok(wanted.length)
  for (const line of wanted) assert.match(line, /^[\w.-]+==\d[\w.]*$/)
})

test("the image's own user imports each package, in the version asked for", () => {
  const script = `
import importlib, os, sys
from importlib.metadata import packages_distributions, version
for line in sys.argv[1:]:
    name, pinned = line.split("==")
    assert version(name) == pinned, (name, version(name))
    modules = [module for module, owners in packages_distributions().items() if name in owners]
    assert modules, name
    for module in modules:
        importlib.import_module(module)
print(os.getuid())`
  assert.is(python('-c', script, ...wanted), '1000')
})

test('they fit together with what was there', () => {
  assert.match(python('-m', 'pip', 'check'), 'No broken requirements')
})

test('Hungarian holidays are known', () => {
  assert.is(
    python(
      '-c',
      'import datetime, holidays; print(datetime.date(2026, 8, 20) in holidays.country_holidays("HU"))',
    ),
    'True',
  )
})

test('nothing of the build is left behind', () => {
  const script =
    'import glob, os; print(glob.glob("/tmp/*"), [key for key in os.environ if key.startswith("PIP")], os.access("/opt/venv/bin", os.W_OK))'
  assert.is(python('-c', script), '[] [] False')
})

test.run()
