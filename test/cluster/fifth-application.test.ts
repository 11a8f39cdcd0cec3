// A fifth application, added to a copy of the repository by the files of test/fixtures/wiki and the
// edits of docs/adding-an-application.md, and nothing else.
import { cpSync, readFileSync, writeFileSync } from 'node:fs'
import { execFile, execFileSync, spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { clusterEnv, kubectl } from './cluster.ts'
import { parseAllDocuments } from 'yaml'
import {
  findManifestErrors,
  findMissingSecretKeys,
} from '../../scripts/lib/deploy/preflight/manifest-errors.ts'
import { fakes } from '../fakes.ts'
import { commit, initialize } from '../git.ts'
import { readTypeScript } from '../node.ts'
import { repository, sandbox } from '../sandbox.ts'
import { kubeconfigOf } from '../unit/fake-kubectl.ts'

const test = suite('fifth-application')
type Json = Record<string, any>

interface Edit {
  file: string
  /**
   * Lines that are there; the new ones go behind them, or before them where they come first in the
   * document.
   */
  there: string
  added: string
  before: boolean
}

/** The edits of the document: a heading names the file, each `diff` block below it is one edit. */
function editsOf(text: string): Edit[] {
  return text
    .split(/^### \d+\. /m)
    .slice(1)
    .flatMap(part => {
      const file = /^`([^`]+)`/.exec(part)![1]!
      return [...part.matchAll(/^```diff\n([^]*?)^```$/gm)].map(([, block = '']) => {
        const lines = (sign: string) =>
          block.split('\n').flatMap(line => (line.startsWith(sign) ? [`${line.slice(1)}\n`] : []))
        const [there, added] = [lines(' ').join(''), lines('+').join('')]
        return { file, there, added, before: block.startsWith('+') }
      })
    })
}

/** Throws when the lines that must be there are not, or stand twice. */
function apply(root: string, { file, there, added, before }: Edit): void {
  const path = join(root, file)
  const text = readFileSync(path, 'utf8')
  assert.is(text.split(there).length, 2, `${file} has this once:\n${there}`)
  writeFileSync(
    path,
    text.replace(there, () => (before ? added + there : there + added)),
  )
}

const edits = editsOf(readFileSync(join(repository, 'docs/adding-an-application.md'), 'utf8'))
const box = sandbox(['.'])
cpSync(join(repository, 'test/fixtures/wiki'), box.root, { recursive: true })
for (const edit of edits) apply(box.root, edit)
execFileSync(process.execPath, [...readTypeScript, 'test/dashboards.ts', '--write'], {
  cwd: box.root,
})
for (const argv of [['env'], ['env', 'demo']]) {
  const { code, stderr } = box.script(argv)
  if (code !== 0) throw new Error(`env files could not be made: ${stderr}`)
}
// the tests of the copy ask git for its files
initialize(box.root)
commit(box.root, 'Add the wiki')

const rendered = (folder: string): Json[] =>
  parseAllDocuments(kubectl(['kustomize', join(box.root, 'infra/k8s', folder)])).map(
    document => document.toJS() as Json,
  )

/** Runs a test file of the copy. Out: what it says when it fails. */
const failureOf = (file: string): Promise<string> =>
  new Promise(done =>
    execFile(
      process.execPath,
      [...readTypeScript, join('test', file)],
      {
        cwd: box.root,
        // they render, and ask no cluster
        env: {
          ...process.env,
          ...clusterEnv,
          NO_COLOR: '1',
          KGC_TEST_KUBECONFIG: join(box.root, 'package.json'),
        },
      },
      (error, stdout, stderr) => done(error ? `${file}\n${stdout}${stderr}` : ''),
    ),
  )

test('at most eight existing files are edited, and neither a script nor a test', () => {
  const files = [...new Set(edits.map(({ file }) => file))]
  assert.ok(files.length > 0 && files.length <= 8, files.join(', '))
  assert.equal(
    files.filter(file => !file.startsWith('infra/')),
    [],
  )
})

test('Compose has its services in every mode', () => {
  for (const mode of ['dev', 'prod', 'demo']) {
    const suffix = mode === 'demo' ? '.demo' : ''
    const argv = ['compose', '--env-file', `.env${suffix}`, '-f', 'docker-compose.yml']
    const { status, stdout, stderr } = spawnSync(
      'docker',
      [...argv, '-f', `docker-compose.${mode}.yml`, 'config', '--services'],
      { cwd: box.docker, encoding: 'utf8', env: { ...process.env, ACME_EMAIL: 'ops@kgc.hu' } },
    )
    assert.is(status, 0, stderr)
    for (const name of ['wiki-web', 'wiki-db', 'wiki-redis'])
      assert.ok(stdout.split('\n').includes(name), `${mode}: ${name}`)
  }
})

test('every overlay has it, and a deploy finds no fault in the manifests', () => {
  for (const environment of ['production', 'staging', 'demo']) {
    const all = rendered(`overlays/${environment}`)
    assert.equal(findManifestErrors(all as never), [], environment)
    const database = all.find(
      ({ kind, metadata }) => kind === 'StatefulSet' && metadata.name === 'wiki-db',
    )!
    const { labels } = database.spec.template.metadata
    assert.is(labels['app.kubernetes.io/name'], 'wiki-db')
    assert.is(labels['app.kubernetes.io/part-of'], 'wiki')
    const env = database.spec.template.spec.containers[0].env as Json[]
    const value = (key: string) => env.find(({ name }) => name === key)!.value
    assert.equal([value('POSTGRES_DB'), value('DATABASE_LOGIN')], ['wiki', 'wiki_a'])
  }
  const missing = findMissingSecretKeys(rendered('overlays/staging') as never, new Map())
  assert.ok(missing.includes('WIKI_SECRET of wiki-secrets is missing or empty'), missing.join('\n'))
  assert.equal(findMissingSecretKeys(rendered('overlays/demo') as never, new Map()), [])
})

test('smoke has its checks and doctor its settings', () => {
  const { bin, env, answer } = fakes(['kubectl'])
  const stack = { kind: 'ConfigMap', metadata: { name: 'stack' }, data: { DOMAIN: 'kgc.invalid' } }
  const pod = { kind: 'Pod', metadata: { name: 'a' }, status: {} }
  answer([
    { call: / kustomize /, stdout: 'played' },
    { call: /patch --local/, stdout: JSON.stringify(stack) },
    { call: / get /, stdout: JSON.stringify({ items: [pod] }) },
  ])
  // nobody listens there
  const place = join(box.root, 'infra/k8s/overlays/demo/environment.yaml')
  writeFileSync(place, 'disposable: true\nedge: { https: "127.0.0.1:9", http: "127.0.0.1:9" }\n')
  const smoke = box.script(['smoke', 'demo', '--target', 'kubernetes', '--only', 'wiki'], {
    env: { ...env, PATH: `${bin}:${process.env.PATH}`, KUBECONFIG: kubeconfigOf('any') },
  })
  assert.match(smoke.stdout, 'wiki: the front page loads')
  const file = join(box.docker, 'wiki/.env')
  const text = readFileSync(file, 'utf8')
  writeFileSync(file, text.replace(/^WIKI_SECRET=.*$/m, 'WIKI_SECRET=short'))
  const doctor = box.script(['bootstrap', '--doctor', '--environment', 'dev'])
  writeFileSync(file, text)
  assert.match(doctor.stdout + doctor.stderr, 'WIKI_SECRET')
})

test('what tests ask of every application, it fulfils', async () => {
  for (const name of ['compose', 'dashboards', 'monitoring'])
    assert.is(await failureOf(`policy/${name}.test.ts`), '')
})

test('Compose and Kubernetes run the same, and only who may reaches its pods', async () => {
  for (const name of ['manifests', 'parity', 'flows'])
    assert.is(await failureOf(`cluster/${name}.test.ts`), '')
})

test.run()
