// Where deploys are measured: the demo on the test cluster, of a copy of this repository that is
// changed at will.
import { execFileSync, spawn } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { parse, stringify } from 'yaml'
import { Failure, exit } from '../../scripts/lib/errors.ts'
import { say } from '../../scripts/lib/report.ts'
import { sandbox } from '../sandbox.ts'
import { clusterEnv, kubectl } from '../cluster/cluster.ts'
import { peakMemoryOf } from './machine.ts'

type Json = Record<string, any>

const box = sandbox()
const overlay = join(box.root, 'infra/k8s/overlays/demo')
const file = join(overlay, 'kustomization.yaml')
const original = readFileSync(file, 'utf8')
const space = ['--namespace', 'kgc-demo']

/** A kubectl that writes down each process of its own, a line each, in the file `kubectlLog`. */
const kubectlLog = join(box.root, 'kubectl.log')
const bin = join(box.root, 'bin')
mkdirSync(bin)
writeFileSync(
  join(bin, 'kubectl'),
  `#!/bin/sh\necho "$*" >>'${kubectlLog}'\nPATH='${clusterEnv.PATH}' exec kubectl "$@"\n`,
  { mode: 0o755 },
)

/** The overlay as it is, with one setting of an application changed and these patches. */
export function write(setting: string, patches: Json[] = []): void {
  const said = parse(original) as Json
  said.configMapGenerator.push({
    name: 'kgc-config',
    behavior: 'merge',
    literals: [`HORILLA_SYNC_INTERVAL_MINUTES=${setting}`],
  })
  said.patches.push(
    ...patches.map(one => ({
      target: { kind: one.kind, name: one.metadata.name },
      patch: stringify(one),
    })),
  )
  writeFileSync(file, stringify(said))
}

/**
 * Refuses where a demo is, or its data; pushes the images that the demo needs and makes the env
 * files. What is made goes with the process.
 */
export function begin(): void {
  const there = kubectl(['get', 'pods,persistentvolumeclaims', ...space, '--output', 'name'], {
    nothrow: true,
  }).trim()
  if (there)
    throw new Failure(exit.refused, 'Find a free place', 'a demo is on the test cluster', {
      next: 'kubectl delete namespace kgc-demo',
    })
  process.once('exit', clear)
  say('  pushing the demo images to the test cluster')
  execFileSync(join(import.meta.dirname, '../cluster/engine/push.sh'), {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  script(['env', 'demo'])
}

/** What an administrator applies before the first deploy. */
export const found = (): string => kubectl(['apply', '--kustomize', join(overlay, 'cluster')])

/** Removes the demo, its volumes and its releases. */
export function clear(): void {
  kubectl(['delete', 'deployments,statefulsets,jobs', '--all', ...space], {
    nothrow: true,
    timeout: 120_000,
  })
  kubectl(['delete', 'pods', '--all', '--grace-period=1', ...space], {
    nothrow: true,
    timeout: 120_000,
  })
  kubectl(['delete', 'namespace', 'kgc-demo', '--ignore-not-found'], { timeout: 180_000 })
}

/** Runs a script of the copy to its end. */
export function script(argv: string[]): void {
  const done = box.script(argv, { env: clusterEnv })
  if (done.code !== 0)
    throw new Error(`${argv.join(' ')} ended with ${done.code}: ${done.stderr.slice(-2000)}`)
}

/** What a person would do without the scripts; ms. */
export function bare(): number {
  const start = performance.now()
  say('  kubectl applies the demo and waits until its rollout is complete, 600 s at the most')
  kubectl(['apply', '--kustomize', overlay], { timeout: 120_000 })
  kubectl(['rollout', 'status', 'deployments,statefulsets', '--timeout', '600s', ...space], {
    timeout: 620_000,
  })
  return performance.now() - start
}

export interface Deploy {
  code: number
  /** ms from the start to the end. */
  ms: number
  /** Its --json events; `time` in ms of the clock. */
  events: Json[]
  /** Of the script itself, without its children, KiB. */
  peak: number
  /** The arguments of each kubectl process that it has started. */
  kubectl: string[]
  /** When the cluster first showed what was wrong, ms of the clock. */
  shown?: number
  text: string
}

const wrong = /ErrImagePull|ImagePullBackOff|CreateContainerConfigError|CrashLoopBackOff|\bError\b/

/** A deploy of the copy, followed. */
export async function deploy(): Promise<Deploy> {
  const start = Date.now()
  writeFileSync(kubectlLog, '')
  const PATH = `${bin}${delimiter}${clusterEnv.PATH}`
  const deploy = box.start(['deploy', 'demo', '--json'], { ...clusterEnv, PATH })
  // what pods show as it changes, without asking again and again
  const reasons = ['waiting', 'terminated']
    .map(state => `{.status.containerStatuses[*].state.${state}.reason}`)
    .join(' ')
  const argv = ['get', 'pods', '--watch-only', ...space, '--output', `jsonpath=${reasons}{"\\n"}`]
  const pods = spawn('kubectl', argv, {
    env: { ...process.env, ...clusterEnv },
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  let [shown, peak] = [undefined as number | undefined, 0]
  pods.stdout.on('data', data => wrong.test(String(data)) && (shown ??= Date.now()))
  const look = setInterval(() => (peak = Math.max(peak, peakMemoryOf(deploy.pid))), 100)
  const code = await deploy.code
  clearInterval(look)
  pods.kill()
  const events = deploy.events().map(one => ({ ...one, time: Date.parse(one.time) }))
  return {
    code: code ?? -1,
    ms: Date.now() - start,
    events,
    peak,
    kubectl: readFileSync(kubectlLog, 'utf8').split('\n').filter(Boolean),
    text: deploy.output.stderr,
    ...(shown ? { shown } : {}),
  }
}
