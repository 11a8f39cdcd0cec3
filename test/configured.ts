// A repository as a company configures it: a copy with all that README, docs/github.md and
// infra/k8s/README.md tell it to write, committed.
import { execFileSync } from 'node:child_process'
import { cpSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { commit, initialize } from './git.ts'
import { kubeseal } from './kubeseal.ts'
import { sandbox, start } from './sandbox.ts'

/** Makes it; it goes with the process. Out: its folder. */
export async function configureRepository(): Promise<string> {
  const { root } = sandbox(['.'])
  cpSync(join(import.meta.dirname, 'fixtures/intranet'), root, { recursive: true })
  await script(root, ['env', '--owner', 'acme'])
  for (const [path, from, to] of settings) replace(root, path, from, to)
  for (const [file, text] of Object.entries(additions))
    writeFileSync(join(root, file), readFileSync(join(root, file), 'utf8') + text)
  // docs/adding-an-application.md
  for (const name of ['dashboards', 'kubernetes-monitoring'])
    execFileSync(process.execPath, ['--import=tsx', `test/${name}.ts`, '--write'], { cwd: root })
  // this machine's own stack and the demo, and two environments on Kubernetes
  await Promise.all(
    [[], ['demo'], ['staging'], ['production']].map(words => script(root, ['env', ...words])),
  )
  replace(root, 'infra/docker/.env', /^ACME_EMAIL=$/m, 'ACME_EMAIL=ops@acme.example')
  const { bin, certificate } = kubeseal()
  const seal = (name: string) =>
    script(root, ['seal', name, '--cert', certificate], { PATH: `${bin}:${process.env.PATH}` })
  await Promise.all(['staging', 'production'].map(seal))
  initialize(root)
  commit(root, 'Set up')
  return root
}

async function script(
  root: string,
  argv: string[],
  env: Record<string, string> = {},
): Promise<void> {
  const { code, said } = start(root, argv, env)
  if ((await code) !== 0) throw new Error(`${argv.join(' ')}: ${said()}`)
}

/** In a file, or in all settings of a folder; throws when there is nothing to replace. */
function replace(root: string, path: string, from: RegExp, to: string): void {
  const inside = () =>
    readdirSync(join(root, path), { recursive: true, encoding: 'utf8' })
      .filter(name => /\.(ya?ml|example)$/.test(name))
      .map(name => path + name)
  const found = (path.endsWith('/') ? inside() : [path]).filter(file => {
    const text = readFileSync(join(root, file), 'utf8')
    writeFileSync(join(root, file), text.replace(from, to))
    return text.search(from) >= 0
  })
  if (!found.length) throw new Error(`${path} has nothing like ${from}`)
}

const overlays = 'infra/k8s/overlays'
const merged =
  '  - { name: chatwoot-config, behavior: merge, literals: [SMTP_ADDRESS=mail.acme.example, SMTP_USERNAME=kgc] }\n'
const settings: [path: string, from: RegExp, to: string][] = [
  // the commit of KGC, the domain, and digests as `images.ts pins --write` writes them
  ['infra/docker/kgc/.env.example', /^KGC_REF=.*$/m, `KGC_REF=${'e'.repeat(40)}`],
  ['infra/docker/', /^DOMAIN=kgc\.hu$/m, 'DOMAIN=acme.example'],
  ['.env.example', /^DOMAIN=kgc\.hu$/m, 'DOMAIN=acme.example'],
  [
    'infra/',
    /(image: (?:redis|twentycrm\/twenty|chatwoot\/chatwoot):[\w.-]+)$/gm,
    `$1@sha256:${'d'.repeat(64)}`,
  ],
  ['infra/k8s/cluster/traefik/config.env', /ops@kgc\.hu/, 'ops@acme.example'],
  ...['staging', 'production'].flatMap((name): [string, RegExp, string][] => [
    [
      `${overlays}/${name}/environment.yaml`,
      /^context: .*$/m,
      `context: gke_acme_europe-west3_${name}`,
    ],
    [`${overlays}/${name}/environment.yaml`, /^# stableSeconds: 10$/m, 'stableSeconds: 30'],
    [
      `${overlays}/${name}/environment.yaml`,
      /^# sealedSecrets: .*$/m,
      'sealedSecrets: { namespace: sealing, name: sealer }',
    ],
    [`${overlays}/${name}/kustomization.yaml`, /DOMAIN=[\w.]+/, `DOMAIN=${name}.acme.example`],
    [
      `${overlays}/${name}/kustomization.yaml`,
      /^components:\n/m,
      '$&  - ../../components/smtp-login\n',
    ],
    [`${overlays}/${name}/kustomization.yaml`, /^configMapGenerator:\n/m, `$&${merged}`],
    [
      `${overlays}/${name}/secrets/kustomization.yaml`,
      /^ {2}- kgc\.yaml\n/m,
      '$&  - intranet.yaml\n',
    ],
  ]),
  [
    `${overlays}/staging/kustomization.yaml`,
    /^replicas:\n/m,
    '$&  - { name: horilla-web, count: 2 }\n',
  ],
  // a fifth application
  ['infra/k8s/base/kustomization.yaml', /^ {2}- kgc\n/m, '$&  - intranet\n'],
  [
    'infra/docker/docker-compose.yml',
    /^include:\n/m,
    '$&  - path: intranet/docker-compose.yml\n    env_file: intranet/.env${KGC_ENV_SUFFIX:-}\n',
  ],
  [
    'infra/docker/docker-compose.prod.yml',
    /^services:\n/m,
    '$&  intranet-web: { restart: always, ports: !reset [] }\n',
  ],
  [
    'infra/docker/docker-compose.demo.yml',
    /^services:\n/m,
    '$&  intranet-web: { ports: !reset [] }\n',
  ],
  [
    'infra/docker/kustomization.yaml',
    /^secretGenerator:\n/m,
    '$&  - name: intranet-secrets\n    envs: [intranet/.env.demo]\n',
  ],
  // a runner that reaches the cluster
  [
    '.github/workflows/deploy-staging.yml',
    /runs-on: \S+(?=\n.*\n {4}environment: staging)/,
    'runs-on: self-hosted',
  ],
  [
    '.github/workflows/deploy-production.yml',
    /runs-on: \S+(?=\n.*\n {4}environment: production\n)/,
    'runs-on: self-hosted',
  ],
  [
    '.github/workflows/rollback.yml',
    /runs-on: \S+(?=\n.*\n {4}environment: \$\{\{ inputs\.environment \}\})/,
    'runs-on: self-hosted',
  ],
]
const additions = {
  [`${overlays}/production/kustomization.yaml`]: 'replicas:\n  - { name: kgc-web, count: 4 }\n',
  [`${overlays}/demo/environment.yaml`]: 'context: demo-of-acme\n',
}
