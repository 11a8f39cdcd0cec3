// What the rehearsal plays on: a repository of KGC's own code, this one as a repository with two
// environments, and an account for each.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parse, stringify } from 'yaml'
import { commit, initialize } from '../../git.ts'
import { emptySeals } from '../../kubeseal.ts'
import { sandbox } from '../../sandbox.ts'
import { clusterEnv, get, kubectl, registry, writeKubeconfig } from '../cluster.ts'

type Json = Record<string, any>

/** Where its images go. */
export const images = `${registry}/kgc-rehearsal`
/** What KGC's own code is built into, by the folder of each Dockerfile. */
const targets = { 'kgc-api': 'kgc-api', 'kgc-web': 'kgc-web', 'kgc-admin': 'kgc-dashboard' }
/** Where the datamodel and its migrations are. */
const prisma = 'apps/kgc-api/prisma'
const datamodel = readFileSync(
  join(import.meta.dirname, '../../../infra/demo/standin/apps/kgc-api/prisma/schema.prisma'),
  'utf8',
)
export const environments = ['staging', 'production']

/**
 * KGC's monorepo, as far as its images are concerned: the demo's stand-ins, with a line of each
 * commit in them.
 */
export function monorepo() {
  const root = mkdtempSync(join(tmpdir(), 'kgc-monorepo-'))
  process.once('exit', () => rmSync(root, { recursive: true, force: true }))
  initialize(root)
  return {
    root,
    /**
     * Commits; `fault` makes the API of this commit misbehave as the stand-in can, `migrations` are
     * added to those that are there. Returns the commit.
     */
    commit(version: string, fault = '', migrations: Record<string, string> = {}) {
      for (const [name, sql] of Object.entries(migrations)) {
        mkdirSync(join(root, prisma, 'migrations', name), { recursive: true })
        writeFileSync(join(root, prisma, 'migrations', name, 'migration.sql'), sql)
      }
      mkdirSync(join(root, prisma), { recursive: true })
      writeFileSync(join(root, prisma, 'schema.prisma'), datamodel)
      writeFileSync(join(root, 'pnpm-lock.yaml'), 'importers:\n')
      for (const [name, folder] of Object.entries(targets)) {
        mkdirSync(join(root, 'apps', folder), { recursive: true })
        const lines = [`FROM kgc-demo/${name}:demo`, `ENV KGC_VERSION=${version}`]
        if (name === 'kgc-api' && fault) lines.push(`ENV STANDIN_FAULT=${fault}`)
        writeFileSync(join(root, 'apps', folder, 'Dockerfile'), `${lines.join('\n')}\n`)
      }
      return commit(root, version)
    },
  }
}

/**
 * This repository with staging and production as they are, but for where images come from, how much
 * the pods ask for, how long all must stay ready, and where Traefik listens.
 */
export function stage() {
  const box = sandbox()
  // the real one's base image and packages are not to be had here; the stand-in's are
  writeFileSync(
    join(box.docker, 'kgc/migrate.Dockerfile'),
    'FROM kgc-demo/kgc-migrate:demo\nCOPY apps/kgc-api/prisma /kgc/prisma\n',
  )
  const overlay = (name: string) => join(box.root, 'infra/k8s/overlays', name)
  const edit = (file: string, change: (said: Json) => Json) =>
    writeFileSync(file, stringify(change(parse(readFileSync(file, 'utf8')))))
  const demo = parse(readFileSync(join(overlay('demo'), 'kustomization.yaml'), 'utf8')) as Json
  const { images: demoImages } = parse(
    readFileSync(join(box.docker, 'kustomization.yaml'), 'utf8'),
  ) as Json
  const { edge } = parse(readFileSync(join(overlay('demo'), 'environment.yaml'), 'utf8')) as Json
  for (const name of environments) {
    emptySeals(join(overlay(name), 'secrets'))
    const { promotedFrom, protected: asks } = parse(
      readFileSync(join(overlay(name), 'environment.yaml'), 'utf8'),
    ) as Json
    writeFileSync(
      join(overlay(name), 'environment.yaml'),
      stringify({
        promotedFrom,
        protected: asks,
        context: `kgc-${name}`,
        edge,
        images,
        disposable: true,
        stableSeconds: 2,
      }),
    )
    edit(join(overlay(name), 'kustomization.yaml'), said => {
      const stack = said.configMapGenerator.find((one: Json) => one.name === 'stack')
      stack.literals = stack.literals.map((one: string) =>
        one === 'URL_PORT=' ? 'URL_PORT=:18443' : one,
      )
      const own = [...Object.keys(targets), 'kgc-migrate']
      return {
        ...said,
        images: demoImages.map(({ name, ...to }: Json) =>
          own.includes(name.split('/').at(-1))
            ? { name, newName: `${images}/${name.split('/').at(-1)}` }
            : { name, ...to },
        ),
        patches: [
          ...(said.patches ?? []),
          ...demo.patches.filter(({ target }: Json) => target.kind !== 'PodDisruptionBudget'),
        ],
      }
    })
  }
  writeFileSync(
    join(box.root, '.gitignore'),
    '/node_modules\n.env.*\n!.env.example\n/kubeconfig\n/certificate.pem\n',
  )
  initialize(box.root)
  commit(box.root, 'The toolkit')

  const kubeconfig = join(box.root, 'kubeconfig')
  /** Runs a script as a workflow's step would; this process goes on answering as GitHub. */
  async function run(
    argv: string[],
    env: Record<string, string> = {},
  ): Promise<{ code: number | null; stdout: string; stderr: string }> {
    const { code, output } = box.start(argv, { ...clusterEnv, KUBECONFIG: kubeconfig, ...env })
    return { code: await code, ...output }
  }
  return {
    box,
    run,
    /** Gives the deployers' accounts of both environments a kubeconfig. */
    admit: () =>
      writeKubeconfig(
        kubeconfig,
        environments.map(name => ({
          context: `kgc-${name}`,
          account: 'deployer',
          namespace: `kgc-${name}`,
        })),
      ),
    commit: (message: string): string => commit(box.root, message),
    /**
     * Pins a commit of KGC's code, as the pull request that raises it does. Returns the commit
     * here.
     */
    pin(sha: string) {
      const file = join(box.docker, 'kgc/.env.example')
      writeFileSync(file, readFileSync(file, 'utf8').replace(/^KGC_REF=.*$/m, `KGC_REF=${sha}`))
      return commit(box.root, `KGC ${sha.slice(0, 12)}`)
    },
  }
}

/** The digests of KGC's own images that an environment's pods run. */
export function serving(name: string): Record<string, string> {
  const pods = get('pods', '--namespace', `kgc-${name}`).items.filter(
    ({ metadata, status }: Json) => !metadata.deletionTimestamp && status.phase === 'Running',
  )
  const containers = pods
    .flatMap(({ spec }: Json) => spec.containers)
    .filter(({ image }: Json) => image.startsWith(images))
  return Object.fromEntries(containers.map(({ name, image }: Json) => [name, image.split('@')[1]]))
}

/** Makes the environment's namespace empty, but for the account. */
export function empty(name: string): void {
  const space = ['--namespace', `kgc-${name}`]
  const kinds =
    'deployments,statefulsets,jobs,services,ingresses,configmaps,sealedsecrets,secrets,hpa,pdb,networkpolicies,pvc,leases'
  kubectl(['delete', kinds, '--all', '--timeout', '120s', ...space], {
    nothrow: true,
    timeout: 130_000,
  })
  kubectl(['wait', 'pod', '--all', '--for', 'delete', '--timeout', '60s', ...space], {
    nothrow: true,
    timeout: 70_000,
  })
}
