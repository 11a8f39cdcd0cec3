// Settings files: lines that kustomize reads differently from how they look.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { findSettingProblems } from '../../scripts/lib/deploy/preflight/settings-files.ts'
import { listEnvironments } from '../../scripts/lib/kubernetes/environment.ts'

const test = suite('settings files')

test('opendatahub-io/models-as-a-service#840: what kustomize takes otherwise than it looks is told with its line', () => {
  const base = mkdtempSync(join(tmpdir(), 'kgc-settings-'))
  process.once('exit', () => rmSync(base, { recursive: true, force: true }))
  const put = (path: string, text: string) => {
    mkdirSync(dirname(join(base, path)), { recursive: true })
    writeFileSync(join(base, path), text)
  }
  put(
    'over/kustomization.yaml',
    `resources: [../base]\nconfigMapGenerator: [{ name: stack, literals: [A=1, 'B="hunter22"'] }]\n`,
  )
  put('base/kustomization.yaml', 'configMapGenerator: [{ name: c, envs: [config.env] }]\n')
  const lines = ['# a', 'A=x=y#z', 'B="hunter22"', 'C=hunter22 # note', 'D=hunter22 ', 'E=', '']
  put('base/config.env', `\uFEFF${lines.join('\r\n')}`)
  const found = findSettingProblems('over', base)
  assert.equal(
    found.map(({ text, fatal }) => [text.replace(/ has .*/, ''), fatal]),
    [
      ['over/kustomization.yaml: B of stack', false],
      ['base/config.env: line 3: B', false],
      ['base/config.env: line 4: C', false],
      ['base/config.env: line 5: D', false],
    ],
  )
  assert.not.match(JSON.stringify(found), 'hunter22')
  put('base/config.env', 'HOME\nexport A=1\n')
  const fatal = findSettingProblems('over', base).filter(one => one.fatal)
  assert.match(fatal[0]!.text, 'config.env: line 1: HOME has no =: kustomize takes its value from')
  assert.match(fatal[1]!.text, 'line 2: A begins with "export"')
  for (const overlay of listEnvironments())
    assert.equal(findSettingProblems(`infra/k8s/overlays/${overlay}`), [], overlay)
})

test.run()
