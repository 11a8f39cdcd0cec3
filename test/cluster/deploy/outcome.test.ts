// What a failed change says and records in its end, held against what the API shows: workloads,
// releases, the lock.
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { unpackManifests } from '../../../scripts/lib/kubernetes/releases.ts'
import { clusterEnv } from '../cluster.ts'
import { createTestEnvironment } from './test-environment.ts'

const test = suite('outcome')
const { box, run, write, get, releases } = createTestEnvironment('kgc-t-now')

// a kubectl that says this from the call, or the request to the API, on whose words are like that,
// for good or `once`
const bin = join(box.root, 'bin')
const trouble = join(box.root, 'trouble')
mkdirSync(bin)
const put = (name: string, text: string) =>
  writeFileSync(join(bin, name), `#!/bin/sh\n${text}`, { mode: 0o755 })
put(
  'check',
  `[ -e ${trouble} ] || exit 0
. ${trouble}
case "$*;" in *"$at"*)
  n=$(($(cat ${trouble}.n 2>/dev/null || echo 0) + 1)); echo $n >${trouble}.n
  [ $n = "$call" ] && touch ${trouble}.on ;;
*) [ "$once" ] && rm -f ${trouble}.on ;; esac
[ -e ${trouble}.on ] || exit 0
[ "$once" ] && rm ${trouble}.on
echo "$says" >&2
exit 1
`,
)
put(
  'kubectl',
  `PATH='${clusterEnv.PATH}'
export PATH
case " $* " in *" proxy "*)
  exec '${process.execPath}' '${join(import.meta.dirname, 'troubled-proxy.mjs')}' ${bin}/check kubectl "$@" ;;
esac
${bin}/check "$*" || exit 1
exec kubectl "$@"
`,
)
const PATH = `${bin}${delimiter}${clusterEnv.PATH}`

const login = 'error: You must be logged in to the server (Unauthorized)'
const denied = 'Error from server (Forbidden): no'
interface Row {
  at: string
  call?: number
  once?: boolean
  says: string
  smoke?: string
  migrate?: string
  code: number
  now: RegExp
  ending: string
  /** Which release alpha is of in the end: the new one, or the one before. */
  alpha: 'new' | 'old'
  /** Nobody could free the lock. */
  held?: boolean
}
const rows: Record<string, Row> = {
  'runatlantis/atlantis#3581: the login is lost when it begins to watch': {
    ...{
      at: '/events;',
      says: login,
      code: 6,
      ending: 'applying',
      alpha: 'new',
      held: true,
    },
    now: /^nothing could be restored \(in place: .*Deployment alpha.* of release \d+; all else of release \d+\), but Apply .*Unauthorized.*; release \d+ may not be recorded as broken/,
  },
  'the way back is refused at the applications': {
    ...{
      at: ' apply --server-side',
      call: 2,
      once: true,
      says: denied,
      smoke: 'broken',
      code: 6,
      ending: 'broken',
      alpha: 'new',
    },
    now: /^nothing could be restored \(in place: ConfigMap alpha-config-\w+, Deployment alpha of release \d+; all else of release \d+\), but Apply .*Forbidden/,
  },
  'the record is refused': {
    ...{
      at: '/configmaps/kgc-release-',
      once: true,
      says: denied,
      code: 6,
      ending: 'applying',
      alpha: 'new',
    },
    now: /^release \d+ serves and passed the smoke test, but may not be recorded as the serving release/,
  },
  'nothing is refused but the product does not work': {
    ...{
      at: 'never',
      says: '',
      smoke: 'broken',
      migrate: 'echo again',
      code: 5,
      ending: 'rolled back',
      alpha: 'old',
    },
    now: /^release \d+ serves again and passed the smoke test; what Job migrate has done to its database stays$/,
  },
}

const configOf = (all: any[]) =>
  all.find(one => one.kind === 'Deployment' && one.metadata.name === 'alpha').spec.template.spec
    .containers[0].envFrom[0].configMapRef.name
const recorded = (number: number) =>
  configOf(unpackManifests(get('configmap', `kgc-release-${number}`).binaryData.manifests))

let change = 0
const good = () => {
  write({ config: { A: String(++change) } })
  // a lock that nobody could free ends by itself, or its process has
  const { code, stderr } = run(['deploy', 'test'])
  assert.is(code, 0, stderr)
  return releases().at(-1)!.number
}

for (const [
  name,
  { at, call = 1, once, says, smoke, migrate, code, now, ending, alpha, held },
] of Object.entries(rows))
  test(name, () => {
    const before = good()
    write({
      config: { A: String(++change) },
      ...(migrate ? { migrate } : {}),
      ...(smoke ? { env: { SMOKE: smoke } } : {}),
    })
    writeFileSync(trouble, `at='${at}'\ncall=${call}\nonce=${once ? 'yes' : ''}\nsays='${says}'\n`)
    const ended = run(['deploy', 'test', '--json'], { PATH })
    for (const file of [trouble, `${trouble}.n`, `${trouble}.on`]) rmSync(file, { force: true })
    assert.is(ended.code, code, ended.stderr)
    const error = ended.stdout
      .trim()
      .split('\n')
      .map(line => JSON.parse(line))
      .find(({ event }) => event === 'error')
    assert.match(error.serving, now)
    const last = releases().at(-1)!
    assert.equal([last.number, last.ending], [before + 1, ending])
    const stands = configOf(
      [get('deployment', 'alpha')].map(one => ({ ...one, kind: 'Deployment' })),
    )
    assert.is(stands, recorded(alpha === 'new' ? last.number : before))
    const { holderIdentity } = get('lease', 'kgc-deploy').spec
    assert.is(Boolean(holderIdentity), Boolean(held))
    if (held) assert.match(ended.stderr, 'The lock could not be released')
  })

test.run()
