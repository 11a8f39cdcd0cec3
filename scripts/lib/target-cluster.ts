// An environment on Kubernetes, for smoke and admin.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { commandFailed, settings, type SmokeContext, type Target } from './checks.ts'
import { isReady, judgeWorkload, podsOf } from './cluster-health.ts'
import { kubectl, kubectlArgv, lastLine, list, rendered, stackConfig, workloads, type Manifest, type Place } from './cluster.ts'
import { dockerFolder } from './compose.ts'
import { edgeAt } from './edge.ts'
import { Failure, exit } from './errors.ts'

/** The environment in its cluster: its overlay, or other manifests that should be there. */
export async function clusterTarget(place: Place, manifests?: Manifest[]): Promise<Target> {
  const all = manifests ?? (await rendered(place))
  const requireRunning = async () => {
    const { code, stdout, ...rest } = await kubectl(place, ['get', 'pods', '--output', 'name'], { nothrow: true })
    const next = { next: `npx zx scripts/bootstrap.ts --doctor --cluster --environment ${place.name}` }
    if (code !== 0) throw new Failure(exit.refused, `Ask the cluster of ${place.name}`, lastLine({ code, stdout, ...rest }), next)
    if (!stdout.trim()) throw new Failure(exit.refused, `Ask ${place.namespace}`, 'no pod is in it', { next: `kubectl apply -k ${place.folder}` })
  }
  return {
    title: place.namespace,
    requireRunning,
    async health() {
      await requireRunning()
      const start = Date.now()
      const wanted = workloads(all)
      const seen = await list(place, [...new Set(wanted.map(({ kind }) => kind)), 'Pod'].join(','))
      const ms = Date.now() - start
      const pods = seen.filter(({ kind }) => kind === 'Pod')
      return wanted.map(one => {
        const here = seen.find(({ kind, metadata }) => kind === one.kind && metadata.name === one.metadata.name)
        return { name: one.metadata.name, ...judgeWorkload(one, all, here, podsOf(one, pods)), ms }
      })
    },
    context: folder => contextOf(place, all, folder),
    envFile: `infra/docker/.env.${place.name}`,
    doctor: `npx zx scripts/bootstrap.ts --doctor --cluster --environment ${place.name}`,
  }
}

/** What the checks of a folder get: the settings of the environment's env files where they are here, and the overlay's own. */
function contextOf(place: Place, all: Manifest[], folder: string): SmokeContext {
  const stack = stackConfig(all)
  const here = existsSync(join(dockerFolder, `.env.${place.name}`))
  return {
    edge: edgeAt(place.edge, !place.disposable),
    address: subdomain => `https://${subdomain}.${stack.DOMAIN}${stack.URL_PORT ?? ''}`,
    env: { ...(here ? settings(`.${place.name}`, folder) : {}), ...stack },
    exec: execIn(place, all),
    logs: logsOf(place, all),
    logCommand: service => `${kubectlArgv(place).join(' ')} logs --selector ${selector(workload(all, service))} --prefix`,
    disposable: place.disposable,
  }
}

function workload(all: Manifest[], service: string): Manifest {
  const found = workloads(all).find(({ kind, metadata }) => kind !== 'Job' && metadata.name === service)
  if (!found) throw new Error(`the overlay has no workload ${service}`)
  return found
}
const selector = ({ spec }: Manifest) => Object.entries(spec.selector.matchLabels as Record<string, string>).map(pair => pair.join('=')).join(',')
const mainContainer = ({ spec }: Manifest): string => spec.template.spec.containers[0].name

/** What all pods of a service have logged in the last `seconds`. */
const logsOf = (place: Place, all: Manifest[]) => async (service: string, seconds: number) => {
  const of = workload(all, service)
  const argv = ['logs', '--selector', selector(of), '--container', mainContainer(of), '--since', `${seconds}s`, '--tail', '-1']
  const output = await kubectl(place, argv, { nothrow: true })
  if (output.code !== 0) throw new Error(`the log of ${service} cannot be read: ${lastLine(output)}`)
  return output.stdout
}

/** Runs a command in a ready pod of a service. */
const execIn = (place: Place, all: Manifest[]) => async (service: string, argv: string[], input?: string) => {
  const of = workload(all, service)
  const pod = (await list(place, 'pods', ['--selector', selector(of)])).find(isReady)
  if (!pod) throw new Error(`no pod of ${service} is ready`)
  const command = ['exec', ...(input === undefined ? [] : ['--stdin']), pod.metadata.name, '--container', mainContainer(of), '--', ...argv]
  const output = await kubectl(place, command, { nothrow: true, ...(input === undefined ? {} : { input }) })
  if (output.code !== 0) throw commandFailed(argv[0] ?? '', service, output)
  return output.stdout
}
