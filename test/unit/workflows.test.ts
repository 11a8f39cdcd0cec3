// The workflows, run step by step with programs that only play.
import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { parse } from 'yaml'
import { evaluate } from '../expression.ts'
import { fakes, type Call, type Reply } from '../fakes.ts'
import { commit, initialize } from '../git.ts'
import { repository, sandbox } from '../sandbox.ts'
import { runWorkflow, type Event, type Outcome } from '../workflow.ts'

const test = suite('workflows')
const box = sandbox()
cpSync(join(repository, '.github'), join(box.root, '.github'), { recursive: true })
// where its images are is the repository's own
writeFileSync(
  join(box.root, 'infra/k8s/overlays/production/environment.yaml'),
  'images: ghcr.io/acme\n',
)
initialize(box.root)
commit(box.root, 'before')
const config = join(box.root, 'infra/k8s/overlays/staging/config.yaml')
writeFileSync(config, 'kind: ConfigMap\ndata: { NEW: "1" }\n')
commit(box.root, 'after')

const tools = fakes(['node', 'npm', 'docker', 'kubectl', 'gh', 'sudo'])
const all: Call[] = []
const kgc = 'c'.repeat(40)
const digest = (letter: string) => `sha256:${letter.repeat(64)}`
const image = (target: string, letter: string) => ({
  target,
  name: `ghcr.io/acme/${target}`,
  tag: kgc,
  digest: digest(letter),
  built: true,
})
const pushed = [image('kgc-api', '1'), image('horilla-hr', '2')]
const planned = [
  ...pushed.map(({ name, digest }) => `${name}@${digest}`),
  `postgres@${digest('3')}`,
]
const plan = `{"event":"step"}\n${JSON.stringify({ event: 'plan', created: [], images: planned, coming: planned })}\n`
const canary = 'canary-of-a-secret'
const secrets = {
  images: { KGC_READ_TOKEN: `${canary}-token` },
  staging: {
    KUBECONFIG: `${canary}-staging`,
    SLACK_WEBHOOK_URL: `https://hooks.slack.com/${canary}`,
  },
  production: { KUBECONFIG: `${canary}-production` },
}
const script = (name: string, more: Partial<Reply> = {}): Reply => ({
  call: new RegExp(`^node --import=tsx scripts/${name}`),
  ...more,
})
const usual: Reply[] = [
  { call: /^npm ci$/ },
  { call: /^sudo env PATH=\S+ node --import=tsx scripts\/bootstrap\.ts --demo --yes$/ },
  { call: /^node --import=tsx test\/run\.ts [a-z ]+$/ },
  script('images\\.ts push --json( --replace)?$', {
    output: `images=${JSON.stringify(pushed)}`,
    stdout: '{}\n',
  }),
  script('images\\.ts (build|pins) --json$', { stdout: '{}\n' }),
  script('deploy\\.ts production --dry-run --json( --again --reason .*)?$', { stdout: plan }),
  script('deploy\\.ts (staging|production) --yes --json( --again --reason .*)?$', {
    stdout: '{}\n',
  }),
  script('rollback\\.ts (staging|production) --list$', { stdout: 'release 7\n' }),
  script('rollback\\.ts (staging|production) --yes --json', { stdout: '{}\n' }),
  {
    call: /^gh attestation verify oci:\/\/ghcr\.io\/\S+@sha256:[0-9a-f]{64} --repo \S+ --signer-workflow \S+ --source-ref refs\/heads\/main$/,
    stdout: 'Loaded digest\n',
  },
]

const inputs: Record<string, string[]> = {
  'actions/checkout': ['persist-credentials', 'fetch-depth', 'repository', 'ref', 'path', 'token'],
  'actions/setup-node': ['node-version', 'package-manager-cache'],
  'actions/upload-artifact': ['name', 'path', 'if-no-files-found'],
  'actions/attest': ['subject-name', 'subject-digest', 'push-to-registry'],
  'docker/setup-buildx-action': [],
  'docker/login-action': ['registry', 'username', 'password'],
}

interface Played extends Outcome {
  result: string
  /** Actions with their inputs, in order. */
  actions: { name: string; given: Record<string, string>; job: string }[]
  calls: Call[]
  /** The calls as text, without the tools' installation. */
  lines: string[]
  artifacts: string
}

/** Plays a workflow; `first` answers before the usual replies do, the action `broken` fails. */
function play(file: string, event: Event, first: Reply[] = [], broken = ''): Played {
  tools.answer([...first, ...usual])
  const actions: Played['actions'] = []
  const outcome: Outcome = { jobs: {}, steps: [], summary: '' }
  let artifacts = ''
  const action = (name: string, given: Record<string, string>, job: string) => {
    actions.push({ name, given, job })
    const unknown = Object.keys(given).filter(
      key => !(inputs[name] ?? assert.unreachable(`${name} is new`))!.includes(key),
    )
    assert.equal(unknown, [], name)
    if (name === broken) throw new Error('it fails')
    if (name === 'actions/upload-artifact')
      for (const found of readdirSync(box.root).filter(
        one =>
          given.path?.split('\n').includes(one) ||
          (given.path === '*.ndjson' && one.endsWith('.ndjson')),
      ))
        artifacts += readFileSync(join(box.root, found), 'utf8') + `(${found})`
  }
  const env = { ...tools.env, PATH: `${tools.bin}:/usr/local/bin:/usr/bin:/bin` }
  const result = runWorkflow({ root: box.root, env, action }, file, event, outcome)
  for (const name of readdirSync(box.root).filter(one => one.endsWith('.ndjson')))
    rmSync(join(box.root, name))
  const calls = tools.calls()
  all.push(...calls)
  const lines = calls
    .map(({ words }) => words.join(' ').replace('node --import=tsx ', ''))
    .filter(line => line !== 'npm ci')
  const shown = JSON.stringify([outcome, calls.map(({ words }) => words), artifacts])
  assert.not.match(shown, canary, 'a secret is shown')
  return { ...outcome, result, actions, calls, lines, artifacts }
}

const failed = ({ steps }: Outcome) =>
  steps.filter(({ code }) => code).map(({ job, step }) => `${job}: ${step}`)
const pin = (ref: string, owner = 'acme') => {
  const file = join(box.docker, 'kgc/.env.example')
  writeFileSync(
    file,
    readFileSync(file, 'utf8')
      .replace(/^KGC_REF=.*$/m, `KGC_REF=${ref}`)
      .replace(/^KGC_OWNER=.*$/m, `KGC_OWNER=${owner}`),
  )
}
const push: Event = { name: 'push', secrets, vars: { KGC_REPOSITORY: 'acme/erp' } }

test('a push to main is tested, built of the pinned commit, attested and deployed', () => {
  pin(kgc)
  const { result, jobs, lines, actions, calls, steps } = play('deploy-staging.yml', push, [
    { call: /^gh attestation verify/, code: 1 },
  ])
  assert.is(result, 'success', JSON.stringify(steps.filter(({ code }) => code)))
  assert.equal(jobs, {
    test: 'success',
    images: 'success',
    ci: 'success',
    attest: 'success',
    deploy: 'success',
  })
  const tested = lines.filter(line => line.startsWith('test/run.ts'))
  assert.equal(tested, [
    'test/run.ts lint unit policy',
    'test/run.ts compose',
    'test/run.ts cluster',
  ])
  const jobsWithPackages = actions.filter(({ name }) => name === 'actions/setup-node')
  const installs = calls.filter(({ words }) => words.join(' ') === 'npm ci')
  assert.equal([jobsWithPackages.length, installs.length], [6, 6])
  assert.equal(
    lines.slice(-4).map(line => line.split(' ').slice(0, 3).join(' ')),
    [
      'scripts/images.ts push --json',
      'gh attestation verify',
      'gh attestation verify',
      'scripts/deploy.ts staging --yes',
    ],
  )
  const source = actions.find(({ given }) => given.path === 'kgc')!.given
  assert.equal([source.repository, source.ref, source.token], ['acme/erp', kgc, `${canary}-token`])
  const attested = actions
    .filter(({ name }) => name === 'actions/attest')
    .map(({ given }) => `${given['subject-name']}@${given['subject-digest']}`)
  assert.equal(
    attested,
    pushed.map(({ name, digest }) => `${name}@${digest}`),
  )
  const build = calls.find(({ words }) => words.includes('push'))!.env
  assert.equal(
    [build.KGC_REF, build.KGC_SOURCE, build.KUBECONFIG],
    [kgc, join(box.root, 'kgc'), undefined],
  )
  const { env, mode } = calls.at(-1)!
  assert.is(mode, '600')
  assert.equal(
    [env.GITHUB_TOKEN, env.SLACK_WEBHOOK_URL, env.DISCORD_WEBHOOK_URL],
    ['token-of-the-job', secrets.staging.SLACK_WEBHOOK_URL, ''],
  )
})

test('no commit of KGC pinned: its images are left out, and the summary says so', () => {
  pin('')
  const { result, actions, summary } = play('deploy-staging.yml', push)
  assert.is(result, 'success')
  assert.not(actions.some(({ given }) => given.path === 'kgc'))
  assert.match(summary, 'KGC_REF is empty')
})

test("KGC's monorepo is its owner's unless the repository says otherwise; without an owner nothing is built, and the key is named", () => {
  pin(kgc)
  const { actions } = play('deploy-staging.yml', { ...push, vars: {} })
  assert.is(actions.find(({ given }) => given.path === 'kgc')!.given.repository, 'acme/kgc-erp')
  pin(kgc, '')
  const { result, calls, steps } = play('deploy-staging.yml', push)
  pin('')
  assert.is(result, 'failure')
  assert.match(
    steps.map(({ text }) => text).join(''),
    /::error::KGC_OWNER in infra\/docker\/kgc\/\.env\.example is empty/,
  )
  assert.not.ok(calls.some(({ words }) => words.includes('push')))
})

test('what is attested already is not signed again; attestations can be switched off', () => {
  const before = play('deploy-staging.yml', push)
  assert.not(before.actions.some(({ name }) => name === 'actions/attest'))
  const off = play('deploy-staging.yml', { ...push, vars: { ATTESTATIONS: 'off' } }, [
    { call: /^gh attestation/, code: 1 },
  ])
  assert.is(off.result, 'success')
  assert.not(
    off.actions.some(({ name }) => name === 'actions/attest') ||
      off.lines.some(line => line.startsWith('gh ')),
  )
})

test('each image says in the summary whether it is signed, and why not', () => {
  const unsigned: Reply = { call: /^gh attestation verify/, code: 1 }
  const says = (words: string, event: Event, first: Reply[] = []) =>
    assert.match(play('deploy-staging.yml', event, first).summary, words)
  const [{ name, digest: of }] = pushed as [(typeof pushed)[0]]
  says(`- \`${name}@${of}\` is signed by this run`, push, [unsigned])
  says(`- \`${name}@${of}\` was signed before`, push)
  says('is not signed: the variable ATTESTATIONS is off', {
    ...push,
    vars: { ATTESTATIONS: 'off' },
  })
  const there = pushed.map(one => ({ ...one, built: false }))
  says('is not signed: it was in GHCR before this run', push, [
    script('images\\.ts push', { output: `images=${JSON.stringify(there)}` }),
    unsigned,
  ])
})

test('production tells of a refusal of the look ahead, too', () => {
  const hook = `https://hooks.slack.com/${canary}`
  const { calls } = play('deploy-production.yml', {
    name: 'workflow_dispatch',
    secrets: { production: { ...secrets.production, SLACK_WEBHOOK_URL: hook } },
  })
  const ahead = calls.find(({ words }) => words.includes('--dry-run'))!
  assert.is(ahead.env.SLACK_WEBHOOK_URL, hook)
})

test('what somebody else has pushed under the commit is not signed: it fails with the way out, which builds it again', () => {
  const there = pushed.map(one => ({ ...one, built: one.target === 'kgc-api' }))
  const nobodySigned: Reply = { call: /^gh attestation verify/, code: 1 }
  const foreign = play('deploy-staging.yml', push, [
    script('images\\.ts push', { output: `images=${JSON.stringify(there)}` }),
    nobodySigned,
  ])
  assert.equal(failed(foreign), ['attest: See whether it is attested already'])
  const words =
    /::error::\S+horilla-hr@sha256:\w+ was in GHCR before this run .* "Deploy to staging", Run workflow, replace/
  assert.match(foreign.steps.find(({ code }) => code)!.text, words)
  const signed = foreign.actions
    .filter(({ name }) => name === 'actions/attest')
    .map(({ given }) => given['subject-digest'])
  assert.equal([signed, foreign.jobs.deploy], [[pushed[0]!.digest], 'skipped'])
  const byHand = (ref: string, replace: boolean): Event => ({
    name: 'workflow_dispatch',
    ref,
    secrets,
    inputs: { replace },
  })
  const again = play('deploy-staging.yml', byHand('refs/heads/main', true), [nobodySigned])
  assert.is(again.result, 'success')
  assert.ok(again.lines.includes('scripts/images.ts push --json --replace'), again.lines.join('\n'))
  assert.is(again.actions.filter(({ name }) => name === 'actions/attest').length, 2)
  const branch = play('deploy-staging.yml', byHand('refs/heads/feature', false))
  assert.equal([branch.lines, new Set(Object.values(branch.jobs))], [[], new Set(['skipped'])])
})

test('alphagov/govuk-design-system#1946: a deploy has the history that tells what is older, and the reason when that is meant', () => {
  for (const [file, environment] of [
    ['deploy-staging.yml', 'staging'],
    ['deploy-production.yml', 'production'],
  ] as const) {
    const why = 'the audit; $(touch x) "wants" it'
    const { result, actions, calls } = play(file, {
      name: 'workflow_dispatch',
      ref: 'refs/heads/main',
      secrets,
      inputs: { replace: false, again: why },
    })
    assert.is(result, 'success')
    const checkout = actions.find(
      ({ name, job, given }) =>
        name === 'actions/checkout' && job === 'deploy' && !given.repository,
    )
    assert.is(Number(checkout!.given['fetch-depth']), 0, file)
    const deploys = calls.filter(({ words }) => words.some(word => word.endsWith('deploy.ts')))
    for (const { words } of deploys)
      assert.equal(words.slice(-3), ['--again', '--reason', why], environment)
    assert.is(deploys.length, file === 'deploy-staging.yml' ? 1 : 2)
  }
})

test('after a failure nothing goes on but what cleans up', () => {
  const tests = play('deploy-staging.yml', push, [{ call: /run\.ts compose$/, code: 1 }])
  assert.equal(failed(tests), ['test: Test'])
  assert.equal(
    tests.jobs,
    { test: 'failure', images: 'skipped', ci: 'failure', attest: 'skipped', deploy: 'skipped' },
    'ci builds, but nothing is pushed',
  )
  const pushes = play('deploy-staging.yml', push, [
    script('images\\.ts push', { code: 3, stdout: '{"event":"error"}\n' }),
  ])
  assert.equal(failed(pushes), ['images: Build and push'])
  assert.match(pushes.artifacts, '{"event":"error"}\n(images.ndjson)')
  assert.not(pushes.lines.some(line => /deploy\.ts|^gh/.test(line)))
  const unsigned = play(
    'deploy-staging.yml',
    push,
    [{ call: /^gh attestation/, code: 1 }],
    'actions/attest',
  )
  assert.equal([unsigned.jobs.attest, unsigned.jobs.deploy], ['failure', 'skipped'])
  const deploy = play('deploy-staging.yml', push, [
    script('deploy\\.ts', { code: 5, stdout: '{"event":"error","code":5}\n' }),
  ])
  assert.equal(failed(deploy), ['deploy: Deploy'])
  assert.is(deploy.steps.at(-2)!.step, 'Remove the kubeconfig')
  assert.match(deploy.artifacts, '"code":5}\n(deploy.ndjson)')
})

test('an artifact that cannot be stored, and a list that cannot be shown, fail nothing', () => {
  for (const file of ['deploy-staging.yml', 'deploy-production.yml', 'pins.yml', 'ci.yml'])
    assert.is(
      play(
        file,
        file === 'deploy-production.yml' ? { name: 'workflow_dispatch', secrets } : push,
        [],
        'actions/upload-artifact',
      ).result,
      'success',
      file,
    )
  const inputs = { environment: 'staging', release: '', 'accept-schema': false }
  assert.is(
    play(
      'rollback.yml',
      { name: 'workflow_dispatch', secrets, inputs },
      [script('rollback\\.ts staging --list', { code: 3 })],
      'actions/upload-artifact',
    ).result,
    'success',
  )
})

test('an environment without a kubeconfig says which secret it lacks', () => {
  for (const file of ['deploy-staging.yml', 'deploy-production.yml']) {
    const { steps, ...rest } = play(file, { ...push, secrets: {} })
    assert.equal(failed({ steps, ...rest }), ['deploy: Write the kubeconfig'])
    assert.match(
      steps.find(({ code }) => code)!.text,
      /has no secret KUBECONFIG.*gh secret set KUBECONFIG/,
    )
  }
  // and asks nothing more: a second error would hide the first
  const inputs = { environment: 'staging', release: '', 'accept-schema': false }
  const back = play('rollback.yml', { name: 'workflow_dispatch', secrets: {}, inputs })
  assert.equal(failed(back), ['rollback: Write the kubeconfig'])
  assert.equal(back.lines, [])
})

test('production looks ahead, verifies who built its images, and builds nothing', () => {
  for (const name of ['release', 'workflow_dispatch']) {
    const { result, lines, calls, summary } = play('deploy-production.yml', { name, secrets })
    assert.is(result, 'success')
    const signer = 'acme/kgc-stack/.github/workflows/deploy-staging.yml'
    const options = `--repo acme/kgc-stack --signer-workflow ${signer} --source-ref refs/heads/main`
    const verified = pushed
      .map(({ name, digest }) => `gh attestation verify oci://${name}@${digest} ${options}`)
      .sort()
    assert.equal(lines, [
      'scripts/deploy.ts production --dry-run --json',
      ...verified,
      'scripts/deploy.ts production --yes --json',
    ])
    assert.match(summary, pushed[0]!.digest)
    assert.equal([...new Set(calls.slice(1).flatMap(({ mode }) => mode ?? []))], ['600'])
  }
})

test('production deploys nothing that is not attested, and no plan without images of ours', () => {
  const event = { name: 'workflow_dispatch', secrets }
  const forged = play('deploy-production.yml', event, [
    { call: /^gh attestation.*kgc-api/, code: 1 },
  ])
  assert.equal(failed(forged), ['deploy: Verify who built the images'])
  const said = forged.steps.find(({ code }) => code)!.text
  assert.match(
    said,
    /^::error::ghcr\.io\/acme\/kgc-api@sha256:1{64} has no signature .* Run workflow, replace/m,
  )
  assert.not.match(said, /::error::\S+horilla/)
  assert.is(
    forged.lines.filter(line => line.startsWith('gh ')).length,
    2,
    'all that is wrong is said at once',
  )
  const none = play('deploy-production.yml', event, [
    script('deploy\\.ts production --dry-run', { stdout: '{"event":"plan","images":[]}\n' }),
  ])
  assert.match(none.steps.find(({ code }) => code)!.text, 'nothing to verify')
  const refused = play('deploy-production.yml', event, [
    script('deploy\\.ts production --dry-run', { code: 3 }),
  ])
  for (const { lines } of [forged, none, refused])
    assert.not(lines.some(line => line.includes('production --yes')))
})

test('what production serves unsigned already hinders nobody: only what is put in place is verified, once each', () => {
  const event = { name: 'workflow_dispatch', secrets }
  const [api, hr] = planned as [string, string]
  const plans = (coming: string[]) =>
    script('deploy\\.ts production --dry-run', {
      stdout: JSON.stringify({ event: 'plan', images: planned, coming }),
    })
  const unsigned: Reply = { call: /^gh attestation.*horilla/, code: 1 }
  const verified = ({ lines }: Played) =>
    lines.filter(line => line.startsWith('gh ')).map(line => line.split(' ')[3])
  const fix = play('deploy-production.yml', event, [plans([api, api]), unsigned])
  assert.equal([fix.result, verified(fix)], ['success', [`oci://${api}`]])
  const setting = play('deploy-production.yml', event, [plans([])])
  assert.equal([setting.result, verified(setting)], ['success', []])
  assert.is(play('deploy-production.yml', event, [plans([hr]), unsigned]).result, 'failure')
})

test('a rollback is of the environment and the release that were chosen, with that environment’s secrets', () => {
  const back = (inputs: Record<string, unknown>) =>
    play('rollback.yml', {
      name: 'workflow_dispatch',
      secrets,
      inputs: { release: '', 'accept-schema': false, ...inputs },
    })
  const before = back({ environment: 'staging' })
  assert.equal(before.lines, [
    'scripts/rollback.ts staging --yes --json',
    'scripts/rollback.ts staging --list',
  ])
  assert.match(before.summary, '    release 7')
  assert.is(before.calls.at(-2)!.env.SLACK_WEBHOOK_URL, secrets.staging.SLACK_WEBHOOK_URL)
  const chosen = back({ environment: 'production', release: '7', 'accept-schema': true })
  assert.is(chosen.lines[0], 'scripts/rollback.ts production --yes --json --accept-schema -- 7')
  assert.is(chosen.calls.at(-2)!.env.SLACK_WEBHOOK_URL, '')
  const much = back({ environment: 'staging', release: '7', prune: true })
  assert.is(much.lines[0], 'scripts/rollback.ts staging --yes --json --prune -- 7')
  const sly = back({ environment: 'production', release: '--prune $(touch x)' })
  assert.equal(sly.calls.find(({ words }) => words.includes('--yes'))!.words.slice(-2), [
    '--',
    '--prune $(touch x)',
  ])
})

test('a pull request sees no secret, and its difference is one comment that is updated', () => {
  const payload = (from: string) => ({
    pull_request: { number: 5, head: { repo: { full_name: from } } },
  })
  const event = (from: string): Event => ({
    name: 'pull_request',
    ref: 'refs/pull/5/merge',
    secrets,
    payload: payload(from),
  })
  const own = event('acme/kgc-stack')
  const ci = play('ci.yml', own)
  assert.is(ci.result, 'success')
  assert.match(ci.summary, 'KGC API, Web and Admin are built on main')
  const rendering: Reply[] = [
    { call: /^kubectl kustomize infra\/k8s\/(cluster|overlays\/\w+\/)$/, cat: true },
    { call: /^docker compose --env-file \.env\S* -f \S+ -f \S+ config$/ },
  ]
  const list = /^gh api --paginate repos\/acme\/kgc-stack\/issues\/5\/comments /
  const make = /^gh api --method POST repos\/acme\/kgc-stack\/issues\/5\/comments --field body=@/
  const update =
    /^gh api --method PATCH repos\/acme\/kgc-stack\/issues\/comments\/77 --field body=@/
  const first = play('rendered.yml', own, [...rendering, { call: list }, { call: make }])
  assert.is(first.result, 'success', first.steps.at(-1)!.text)
  assert.match(first.summary, /kubernetes-staging\.yaml \| 2 \+\+/)
  assert.match(first.summary, '+data: { NEW: "1" }')
  const later = play('rendered.yml', own, [
    ...rendering,
    { call: list, stdout: '77\n78\n' },
    { call: update },
  ])
  assert.is(later.result, 'success', later.steps.at(-1)!.text)
  const fork = play('rendered.yml', event('mallory/kgc-stack'), rendering)
  assert.is(fork.result, 'success')
  assert.match(fork.summary, 'kubernetes-staging.yaml')
})

test('the pins are asked for once a week', () => {
  const { lines, artifacts } = play('pins.yml', { name: 'schedule', secrets })
  assert.equal(lines, ['scripts/images.ts pins --json'])
  assert.match(artifacts, '(pins.ndjson)')
})

test('every call of a script that a workflow makes is one that the script knows', () => {
  const scripts = all
    .map(({ words }) => words.slice(words.indexOf('--import=tsx') + 1))
    .filter(([name]) => name?.endsWith('.ts'))
  const calls = new Set(scripts.map(words => JSON.stringify(words)))
  const written = readdirSync(join(repository, '.github'), { recursive: true, encoding: 'utf8' })
    .filter(name => /\.(yml|sh)$/.test(name))
    .flatMap(name =>
      [
        ...readFileSync(join(repository, '.github', name), 'utf8').matchAll(
          /(?<=tsx )(scripts|test)\/[\w-]+\.ts/g,
        ),
      ].map(([name]) => name),
    )
  assert.equal(
    [...new Set([...calls].map(call => JSON.parse(call)[0]))].sort(),
    [...new Set(written)].sort(),
    'a call that no test above has made',
  )
  const options = {
    cwd: box.root,
    encoding: 'utf8',
    env: { ...process.env, NO_COLOR: '1' },
  } as const
  const made = [...calls].map(call => JSON.parse(call) as string[])
  // no test has this name: what is left of the run is its judgement of the groups
  const groups = made.filter(([name]) => name === 'test/run.ts').flatMap(([, ...words]) => words)
  const { status, stdout } = spawnSync(
    process.execPath,
    ['--import=tsx', 'test/run.ts', ...groups, '--grep', '@none@'],
    { ...options, cwd: repository },
  )
  assert.equal([status, stdout], [1, '0 passed, 0 failed\n'])
  // what differs in an environment or a release alone is asked for once
  const different = new Map(
    made
      .filter(([name]) => name !== 'test/run.ts')
      .map(words => [words.filter(word => /^-|\.ts$/.test(word)).join(' '), words]),
  )
  for (const words of different.values()) {
    // all its words are known if this is the first that is not; nothing else has happened by then
    const at = words.includes('--') ? words.indexOf('--') : words.length
    const { status, stderr } = spawnSync(
      process.execPath,
      ['--import=tsx', ...words.slice(0, at), '--not-known', ...words.slice(at)],
      options,
    )
    assert.is(status, 2, `${words.join(' ')}: ${stderr}`)
    assert.match(stderr, /Unknown option '--not-known'/, words.join(' '))
  }
})

const files = readdirSync(join(repository, '.github/workflows'))
const ownActions = readdirSync(join(repository, '.github/actions'))
type Json = Record<string, any>
const jobsOf = (file: string): [string, Json][] =>
  Object.entries(parse(readFileSync(join(repository, '.github/workflows', file), 'utf8')).jobs)

const pinned =
  /^([\w-]+\/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+|\.\/\.github\/(workflows\/ci\.yml|actions\/[\w-]+))$/

test('rules: Node and npm ci stand once, in an action whose own actions are pinned', () => {
  for (const name of ownActions) {
    const text = readFileSync(join(repository, '.github/actions', name, 'action.yml'), 'utf8')
    for (const [, uses] of text.matchAll(/uses: (.*)/g)) assert.match(uses!, pinned, name)
    assert.not.match(text, '${{', `${name} takes nothing from its caller`)
  }
  for (const file of files)
    for (const [id, { steps = [] }] of jobsOf(file))
      for (const { uses, run } of steps as Json[])
        assert.not.match(`${uses}${run}`, /actions\/setup-node|npm ci/, `${file}: ${id}`)
})

test('rules: rights, pins, limits, shells, credentials', () => {
  for (const file of files) {
    const text = readFileSync(join(repository, '.github/workflows', file), 'utf8')
    const { permissions, concurrency, on } = parse(text) as Json
    assert.equal(permissions, {}, file)
    assert.not(
      ['pull_request_target', 'workflow_run', 'issue_comment'].some(name => name in on),
      file,
    )
    for (const [, uses] of text.matchAll(/uses: (.*)/g)) assert.match(uses!, pinned, file)
    for (const [id, job] of jobsOf(file)) {
      const where = `${file}: ${id}`
      assert.ok(job.permissions, where)
      if (job.uses) continue
      // a deploy may need a runner that reaches the cluster
      const approves = /production-approval/.test(job.environment ?? '')
      const deploys = !approves && /production|staging|inputs/.test(job.environment ?? '')
      const limit = job.concurrency ?? concurrency
      assert.ok(approves || (limit.group && 'cancel-in-progress' in limit), where)
      if (!deploys) assert.is(job['runs-on'], 'ubuntu-24.04', where)
      assert.ok(job['timeout-minutes'], where)
      if (deploys) {
        const { group, 'cancel-in-progress': cancels } = limit
        // a rollback waits for no deploy that waits for its reviewer
        const own = file === 'rollback.yml' ? 'rollback' : 'deploy'
        assert.equal([group, cancels], [`${own}-${job.environment}`, false], where)
      }
      for (const { uses = '', with: given, run = '' } of job.steps as Json[]) {
        if (uses.startsWith('actions/checkout'))
          assert.is(given['persist-credentials'], false, where)
        assert.not.match(run, /\$\{\{|\bnpx\b/, where)
        if (/scripts\/(deploy|rollback|images)\.ts/.test(run) && !run.includes('--list'))
          assert.match(run, /exec node --import=tsx/, where)
      }
    }
  }
})

test('vstorm-co/agenticos#1832: what waits for its reviewers holds nothing, so that the newest release can always be approved', () => {
  // a run that waits is in progress: it holds its group, and each that comes cancels the one before
  // (https://docs.github.com/en/actions/using-jobs/using-concurrency)
  let deploys = 0
  for (const file of files) {
    const { concurrency } = parse(
      readFileSync(join(repository, '.github/workflows', file), 'utf8'),
    ) as Json
    const jobs = jobsOf(file)
    const waiting = jobs.filter(([, job]) => /production-approval/.test(job.environment ?? ''))
    for (const [id, job] of waiting) {
      assert.equal([concurrency, job.concurrency], [undefined, undefined], `${file}: ${id}`)
      assert.equal([job.permissions, /secrets/.test(JSON.stringify(job))], [{}, false], id)
    }
    for (const [id, job] of jobs)
      if (/^production$|inputs\.environment }}$/.test(job.environment ?? '')) {
        deploys++
        assert.ok(job.concurrency.group, `${file}: ${id}`)
        assert.ok(
          waiting.some(([before]) => [job.needs].flat().includes(before)),
          `${file}: ${id} needs an approval`,
        )
      }
  }
  assert.is(deploys, 2)
  const byHand: Event = { name: 'workflow_dispatch', secrets }
  const { jobs, summary } = play('deploy-production.yml', byHand)
  assert.equal(jobs, { approve: 'success', deploy: 'success' })
  assert.match(summary, 'Approved; the run was started by anna')
})

test('rules: a step that runs in any case cleans up, or documents and may fail', () => {
  const rescue = /\b(always|failure|cancelled)\(\)/
  const all = files.flatMap(file =>
    jobsOf(file).flatMap(([id, { steps = [] }]) =>
      (steps as Json[]).map(step => ({ where: `${file}: ${id}: ${step.name ?? step.uses}`, step })),
    ),
  )
  const either = all.filter(
    ({ step }) => rescue.test(step.if ?? '') || /upload-artifact/.test(step.uses ?? ''),
  )
  assert.ok(either.length > 5)
  for (const { where, step } of either)
    assert.is(step['continue-on-error'] ?? false, !/^rm -f \S+$/.test(step.run ?? ''), where)
  // nothing else is waved through
  assert.equal(
    all.filter(one => one.step['continue-on-error'] && !either.includes(one)),
    [],
  )
})

test('rules: a pre-release deploys nothing; a called workflow waits in a place of its caller; who reads no package may not', () => {
  const of = (file: string) =>
    parse(readFileSync(join(repository, '.github/workflows', file), 'utf8')) as Json
  assert.equal(of('deploy-production.yml').on.release.types, ['released'])
  // both are the caller's
  assert.is(of('ci.yml').concurrency.group, 'ci-${{ github.workflow }}-${{ github.ref }}')
  assert.is(of('deploy-staging.yml').concurrency.group, 'push-${{ github.ref }}')
  assert.is(of('deploy-staging.yml').jobs.attest.strategy['fail-fast'], false)
  assert.equal(of('pins.yml').jobs.pins.permissions, { contents: 'read' })
})

test('rules: no secret where a pull request can come, none outside of an environment', () => {
  for (const file of files)
    for (const [id, job] of jobsOf(file)) {
      const asks = /\bsecrets\b/.test(JSON.stringify(job))
      const { on } = parse(
        readFileSync(join(repository, '.github/workflows', file), 'utf8'),
      ) as Json
      if ('pull_request' in on || 'workflow_call' in on)
        assert.equal([asks, job.environment], [false, undefined], `${file}: ${id}`)
      if (asks) assert.ok(job.environment, `${file}: ${id}`)
      const rights = Object.values(job.permissions).concat(Object.keys(job.permissions))
      if ('pull_request' in on)
        assert.not(
          rights.includes('packages') ||
            rights.includes('id-token') ||
            rights.includes('deployments'),
          `${file}: ${id}`,
        )
    }
})

test('the small runner refuses what it does not know', () => {
  const context = { github: { event: {} }, vars: {}, steps: { a: { outputs: { b: 'c' } } } }
  assert.is(evaluate("vars.X != 'off' && steps.a.outputs.b == 'C'", context), true)
  assert.is(evaluate("${{ github.event.a.b || 'x' }}", context), 'x')
  const unknown = [
    'contains(vars.X)',
    'steps.z.outputs.b',
    'github.nope',
    'env.X',
    'vars.X == ',
    '1 + 1',
  ]
  for (const text of unknown) assert.throws(() => evaluate(text, context), undefined, text)
})

mkdirSync(join(box.root, 'kgc'), { recursive: true })
test.run()
