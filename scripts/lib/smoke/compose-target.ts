// A stack on this machine, for smoke and admin.
import { commandFailed, checkSettings, type SmokeContext, type SmokeTarget } from './checks.ts'
import { isOneShot, wasPruned } from '../compose/services.ts'
import {
  runCompose,
  readComposeConfig,
  stackOf,
  type ComposeConfig,
  type Stack,
} from '../compose/stack.ts'
import { containerStatus, describeUnhealthy } from '../compose/container-status.ts'
import {
  execInContainer,
  goLiveCommand,
  isHeld,
  readContainers,
  type Container,
} from '../compose/containers.ts'
import { rejectTraefikAnswers, openDoor } from './doors.ts'
import { localEdge } from './edge.ts'
import { Failure, exit } from '../errors.ts'
import { checkMonitoring } from './monitoring.ts'
import { runCheck, type CheckOutcome } from './outcome.ts'

/** The stack of a mode. */
export function createComposeTarget(mode: string): SmokeTarget {
  const stack = stackOf(mode)
  const idle = () =>
    new Failure(exit.refused, `Ask ${stack.project}`, 'nothing of it is running', {
      next: `npx zx scripts/up.ts ${mode}`,
    })
  return {
    title: stack.project,
    async requireRunning() {
      if (
        ![...(await readContainers(stack.project)).values()].some(
          ({ State }) => State.Status === 'running',
        )
      )
        throw idle()
    },
    async health() {
      const all = readComposeConfig(stack)
      all.catch(() => {}) // it is awaited later; until then nothing handles its failure
      const seen = await readContainers(stack.project)
      if (!seen.size) throw idle()
      return health(seen, all)
    },
    context: folder => contextOf(stack, folder),
    ownChecks: () => (stack.monitored ? checkMonitoring(stack, contextOf(stack, 'traefik')) : []),
    open: folder => {
      const { address, env } = contextOf(stack, folder)
      // a certificate may still be on its way
      return openDoor(stack, folder, localEdge(false, env.HTTP_PORT || '80'), address)
    },
    envFile: `infra/docker/.env${stack.suffix}`,
    doctor: `npx zx scripts/bootstrap.ts --doctor --environment ${mode}`,
    findGoLive: async () => ((await isHeld(stack.project)) ? goLiveCommand(mode) : undefined),
  }
}

/**
 * The health of every service, asked now: a container's own health check is run in it, because the
 * engine's answer may be as old as the check's interval. One-shots must have ended well; what has
 * no check must run. The checks start before Compose has read its files, which takes longer than
 * most of them.
 */
async function health(
  seen: Map<string, Container>,
  all: Promise<ComposeConfig>,
): Promise<CheckOutcome[]> {
  const asked = new Map(
    [...seen].map(([service, container]) => [
      service,
      runCheck(service, () => probeContainer(container), 10_000),
    ]),
  )
  const config = await all
  return Promise.all(
    Object.keys(config.services).map(service => {
      const container = seen.get(service)
      const pruned = wasPruned(config, seen, service)
      if (!container)
        return {
          name: service,
          ok: pruned,
          detail: pruned ? 'done, its container was pruned' : 'not created',
          ms: 0,
        }
      return isOneShot(config, service)
        ? runCheck(service, async () => requireDone(container), 1_000)
        : asked.get(service)!
    }),
  )
}

function requireDone(container: Container): string {
  const { condition, detail } = containerStatus(container, true)
  if (condition !== 'done') throw new Error(detail)
  return detail
}

async function probeContainer(container: Container): Promise<string> {
  const { Id, State: state, Config } = container
  if (state.Status !== 'running') throw new Error(containerStatus(container, false).detail)
  const { Healthcheck } = Config
  const [kind, ...test] = Healthcheck?.Test ?? []
  if (!kind || kind === 'NONE') return 'running'
  const argv = kind === 'CMD-SHELL' ? ['sh', '-c', ...test] : test
  // health.sh would wait after it
  const output = await execInContainer(Id, argv, 9_000, ['--env', 'HEALTH_ONCE=1'])
  if (output.code !== 0) throw new Error(describeUnhealthy(output.stdout + output.stderr))
  return 'healthy'
}

/** What the checks of a folder get to work with. */
function contextOf(stack: Stack, folder: string): SmokeContext {
  const env = checkSettings(stack.suffix, folder)
  return {
    edge: rejectTraefikAnswers(localEdge(stack.mode === 'prod', env.HTTP_PORT || '80'), folder),
    address: subdomain =>
      `https://${subdomain}.${env.DOMAIN}${env.HTTPS_PORT === '443' ? '' : `:${env.HTTPS_PORT}`}`,
    env,
    exec: execIn(stack),
    logs: logsOf(stack),
    logCommand: service => `docker compose -p ${stack.project} logs ${service}`,
    disposable: stack.suffix !== '',
  }
}

/** What a service has logged in the last `seconds`. */
const logsOf = (stack: Stack) => async (service: string, seconds: number) =>
  (
    await runCompose(
      stack,
      ['logs', '--no-color', '--no-log-prefix', '--since', `${seconds}s`, service],
      { what: `Read the log of ${service}` },
    )
  ).stdout

/** Runs a command in a service's container. */
const execIn = (stack: Stack) => async (service: string, argv: string[], input?: string) => {
  const output = await runCompose(stack, ['exec', '-T', service, ...argv], {
    nothrow: true,
    timeout: 60_000,
    ...(input === undefined ? {} : { input }),
  })
  if (output.code !== 0) throw commandFailed(argv[0] ?? '', service, output)
  return output.stdout
}
