// What a deploy sends is what was written, for every string: compared with what `kubectl apply -k`
// puts into the cluster from the same folder.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { buildKustomization } from '../../scripts/lib/kubernetes/kustomize.ts'
import { root } from '../../scripts/lib/repository.ts'
import { environmentIn } from './deploy/environment.ts'
import { clusterEnv, get, kubectl, namespace } from './cluster.ts'
import type { Json } from './manifests.ts'

const test = suite('written')
process.env.PATH = clusterEnv.PATH

/** What some version of YAML, or some parser of it, takes for more than text. */
const words = [
  ...[
    'yes',
    'No',
    'on',
    'OFF',
    'y',
    'N',
    'true',
    'False',
    'null',
    '~',
    'Null',
    '',
    '.inf',
    '-.Inf',
    '.nan',
    'NaN',
    'Infinity',
    '=',
    '<<',
  ],
  ...[
    '0x1F',
    '0o17',
    '017',
    '08',
    '0b101',
    '1_000',
    '1__0',
    '+1',
    '-0',
    '1e3',
    '13e9474',
    '4e5721',
    '1E-999',
    '1e400',
    '-1e400',
    '0x1p4',
    '1.',
    '.5',
  ],
  ...[
    '1:30',
    '190:20:30',
    '1:30.5',
    '2001-01-01',
    '2001-12-14t21:59:43.10-05:00',
    '123456789012345678901234567890',
    '9007199254740993',
    '١',
  ],
  ...[
    '!!str a',
    '&a',
    '*a',
    '%a',
    '@a',
    '`a',
    '- a',
    '? a',
    ': a',
    'a: b',
    'a: ',
    'a #b',
    '#a',
    '|',
    '>',
    '{a}',
    '[a]',
    '"a"',
    "'a'",
    '\\N',
    '---',
    '...',
  ],
  ...[
    'é\u0171',
    '\u{1f600}',
    ' a',
    'a ',
    'a\n',
    '\na',
    'a\nb\n\nc',
    'a\r\nb',
    'a\rb',
    'a\tb',
    '\t',
    'a\u2028b',
    'a\u2029',
    '\u00a0',
    '\u200b',
    '\ue000',
    '\ufffd',
    '$(A)',
    '${A}',
  ],
]
const atoms = [...'ae19.-+_: \n\t\r#"\'\\0xE{}%|>&*!\u2028\u2029\u00a0é', '\u{1f600}']

/** `n` strings, the same ones for the same seed (a linear congruential generator). */
function strings(n: number, seed: number): string[] {
  const next = (most: number) => {
    seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31
    return Math.floor(seed / 65_536) % most
  }
  const pick = <T>(all: T[]) => all[next(all.length)]!
  const kinds = [
    () => Array.from({ length: next(9) }, () => pick(atoms)).join(''),
    () => pick(words) + pick(atoms),
    // as git's short hashes
    () => `${next(100)}e${next(100_000)}`,
  ]
  return Array.from({ length: n }, () => pick(kinds)())
}

/** Control characters kustomize refuses, and of a tab on a line of its own it makes YAML that it cannot read: both are said, nothing is lost. */
const isRefused = (text: string) => /\t/.test(text) && /[\n\r\u2028\u2029]/.test(text)
const values = [...words, ...strings(2_000, 7)].filter(text => !isRefused(text))
/** A literal's outer quotes are kustomize's. */
const literals = values.filter(text => !/^(["']).*\1$/s.test(text))
const literal = Object.fromEntries(literals.map((text, i) => [`k${i}`, text]))
const env = values.map((value, i) => ({ name: `k${i}`, value }))

/** JSON whose odd characters are escaped: so all arrive. */
const escaped = (value: unknown) =>
  JSON.stringify(value).replace(
    /[\u007f-\ud7ff\ue000-\uffff]/g,
    one => `\\u${one.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )

test('kubernetes-sigs/kustomize#4081, helm/helm#6921, helm/helm#3246: every string arrives as it was written', async () => {
  const space = namespace('kgc-t-written')
  const folder = mkdtempSync(join(tmpdir(), 'kgc-written-'))
  try {
    const template = {
      metadata: { labels: { app: 'd' } },
      spec: { containers: [{ name: 'd', image: 'd', env }] },
    }
    const deployment = {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'd' },
      spec: { replicas: 0, selector: { matchLabels: { app: 'd' } }, template },
    }
    const generator = [
      {
        name: 'c',
        options: { disableNameSuffixHash: true },
        literals: Object.entries(literal).map(pair => pair.join('=')),
      },
    ]
    writeFileSync(join(folder, 'all.yaml'), escaped(deployment))
    writeFileSync(
      join(folder, 'kustomization.yaml'),
      escaped({
        apiVersion: 'kustomize.config.k8s.io/v1beta1',
        kind: 'Kustomization',
        namespace: space,
        resources: ['all.yaml'],
        configMapGenerator: generator,
      }),
    )
    const sent = JSON.parse(
      JSON.stringify(await buildKustomization(environmentIn(space), relative(root, folder))),
    ) as Json[]
    kubectl(['apply', '--server-side', '--kustomize', folder])
    const [map, made] = [
      get('configmap', 'c', '--namespace', space),
      get('deployment', 'd', '--namespace', space),
    ] as [Json, Json]
    const of = (kind: string) => sent.find(one => one.kind === kind)!
    assert.equal(of('ConfigMap').data, map.data)
    assert.equal(of('ConfigMap').data, literal)
    const envOf = (one: Json) =>
      one.spec.template.spec.containers[0].env.map(({ value = '' }: Json) => value)
    assert.equal(envOf(of('Deployment')), envOf(made))
    assert.equal(envOf(of('Deployment')), values)
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test.run()
