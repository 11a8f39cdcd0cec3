// Health and product checks, and how they are run: in parallel, each with its time, none hiding another.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { applications, compose, config, containers, dockerFolder, folderOf, isOneShot, root, stackOf } from './compose.ts'
import type { Config, Container, Stack } from './compose.ts'
import { localEdge, type Edge } from './edge.ts'
import { loadEnvironment, readEnv } from './env.ts'
import { Failure, exit } from './errors.ts'
import { run } from './run.ts'

export interface Outcome {
  name: string
  ok: boolean
  detail: string
  ms: number
}

/** What an application's own checks get (infra/docker/<folder>/smoke.ts exports `checks`). */
export interface SmokeContext {
  edge: Edge
  /** `https://<name>.<domain>[:port]` */
  address: (subdomain: string) => string
  /** The stack's settings, shared and the folder's own. */
  env: Record<string, string>
  /** Runs a command in a service's container; `input` goes to standard input. Throws with what it printed when it fails. */
  exec: (service: string, argv: string[], input?: string) => Promise<string>
  /** What a service has logged in the last `seconds`. */
  logs: (service: string, seconds: number) => Promise<string>
  /** The command that shows a person a service's log. */
  logCommand: (service: string) => string
  /** May the check write? Only in a stack without a user's data. */
  disposable: boolean
}

/** Where a stack runs, on this machine or in a cluster, and what smoke and admin ask of it. */
export interface Target {
  title: string
  /** Throws Failure (refused) when nothing of it runs. */
  requireRunning: () => Promise<void>
  health: () => Promise<Outcome[]>
  context: (folder: string) => SmokeContext
  /** The root env file, as people read it. */
  envFile: string
  /** The command that says what is wrong with it. */
  doctor: string
}

export interface Check {
  name: string
  /** Only where the stack is disposable: it writes. */
  writes?: boolean
  /** Returns a short detail; throws when the product does not do what it should. */
  run: (context: SmokeContext) => Promise<string | void>
}

/** `infra/docker/<folder>/admin.ts` exports `createAdmin`: makes the first administrator and closes the application's public onboarding. */
export interface Admin {
  email: string
  password: string
}
/** Idempotent; returns what was done, in a few words. Throws with the cause. */
export type CreateAdmin = (context: SmokeContext, admin: Admin) => Promise<string>

/** `smoke.ts` may export `sendMail`: sends one mail from the application's own container with its own settings. Throws with the server's words. */
export type SendMail = (context: SmokeContext, to: string) => Promise<string>

/** Asks again until `probe` returns something, at most `seconds` long; `undefined` when it never did. */
export async function eventually<T>(probe: () => Promise<T | undefined>, seconds: number): Promise<T | undefined> {
  const end = Date.now() + seconds * 1000
  for (;;) {
    const found = await probe()
    if (found !== undefined || Date.now() > end) return found
    await new Promise(done => setTimeout(done, 300))
  }
}

/** Runs a check within `timeout` ms; never throws. */
export async function outcome(name: string, work: () => Promise<string | void>, timeout: number): Promise<Outcome> {
  const start = Date.now()
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => (timer = setTimeout(() => reject(new Error(`no result in ${timeout / 1000} s`)), timeout)))
  try {
    return { name, ok: true, detail: (await Promise.race([work(), late])) ?? '', ms: Date.now() - start }
  } catch (error) {
    return { name, ok: false, detail: (error as Error).message.trim(), ms: Date.now() - start }
  } finally {
    clearTimeout(timer)
  }
}

/**
 * The health of every service, asked now: a container's own health check is run in it, because the engine's answer may be as
 * old as the check's interval. One-shots must have ended well; what has no check must run. The checks start before Compose has
 * read its files, which takes longer than most of them.
 */
async function health(seen: Map<string, Container>, all: Promise<Config>): Promise<Outcome[]> {
  const asked = new Map([...seen].map(([service, container]) => [service, outcome(service, () => ask(container), 10_000)]))
  const config = await all
  return Promise.all(
    Object.keys(config.services).map(service => {
      const container = seen.get(service)
      if (!container) return { name: service, ok: false, detail: 'not created', ms: 0 }
      return isOneShot(config, service) ? outcome(service, async () => ended(container), 1_000) : asked.get(service)!
    }),
  )
}

function ended({ State: state }: Container): string {
  if (state.Status === 'exited' && state.ExitCode === 0) return 'done'
  throw new Error(`has not ended well: ${state.Status}, exit ${state.ExitCode}`)
}

async function ask({ Id, State: state, Config: { Healthcheck } }: Container): Promise<string> {
  if (state.Status !== 'running') throw new Error(`${state.Status}, exit ${state.ExitCode}${state.OOMKilled ? ', out of memory' : ''}`)
  const [kind, ...test] = Healthcheck?.Test ?? []
  if (!kind || kind === 'NONE') return 'running'
  const output = await run(['docker', 'exec', Id, ...(kind === 'CMD-SHELL' ? ['sh', '-c', ...test] : test)], { nothrow: true, timeout: 9_000 })
  if (output.code !== 0) throw new Error(`its health check fails: ${`${output.stdout}${output.stderr}`.trim().split('\n').at(-1) || `exit ${output.code}`}`)
  return 'healthy'
}

/**
 * What each application's folder exports from `file` (smoke.ts, admin.ts), by folder; folders without it are left out.
 * `only` names the folders that are wanted: Failure (usage) for one that has no such file.
 */
export async function fromFolders<T>(file: string, only?: string[]): Promise<(T & { folder: string })[]> {
  const folders = applications().filter(folder => existsSync(join(dockerFolder, folder, file)))
  const chosen = (only ?? []).map(name => folderOf(name) ?? name)
  const strange = chosen.filter(name => !folders.includes(name))
  if (strange.length)
    throw new Failure(exit.usage, 'Choose the applications', `${strange.join(', ')}: no folder of infra/docker with a ${file}`, { next: `one of: ${folders.join(', ')}` })
  const wanted = folders.filter(folder => !chosen.length || chosen.includes(folder))
  return Promise.all(wanted.map(async folder => ({ ...((await import(pathToFileURL(join(dockerFolder, folder, file)).href)) as T), folder })))
}

/** A stack on this machine. */
export function composeTarget(mode: string): Target {
  const stack = stackOf(mode)
  const idle = () => new Failure(exit.refused, `Ask ${stack.project}`, 'nothing of it is running', { next: `npx zx scripts/up.ts ${mode}` })
  return {
    title: stack.project,
    async requireRunning() {
      if (![...(await containers(stack.project)).values()].some(({ State }) => State.Status === 'running')) throw idle()
    },
    async health() {
      const all = config(stack)
      all.catch(() => {}) // it is awaited later; until then its failure is nobody's
      const seen = await containers(stack.project)
      if (!seen.size) throw idle()
      return health(seen, all)
    },
    context: folder => contextOf(stack, folder),
    envFile: `infra/docker/.env${stack.suffix}`,
    doctor: `npx zx scripts/bootstrap.ts --doctor --environment ${mode}`,
  }
}

/** The settings of an environment for a folder's checks, its own and the shared ones; remembers the secrets for redaction. */
export function settings(suffix: string, folder: string): Record<string, string> {
  loadEnvironment(root, suffix.slice(1))
  const own = join(dockerFolder, folder, `.env${suffix}`)
  return { ...readEnv(join(dockerFolder, `.env${suffix}`)), ...(existsSync(own) ? readEnv(own) : {}) }
}

/** What the checks of a folder get to work with. */
function contextOf(stack: Stack, folder: string): SmokeContext {
  const env = settings(stack.suffix, folder)
  return {
    edge: localEdge(stack.mode === 'prod', env.HTTP_PORT || '80'),
    address: subdomain => `https://${subdomain}.${env.DOMAIN}${env.HTTPS_PORT === '443' ? '' : `:${env.HTTPS_PORT}`}`,
    env,
    exec: execIn(stack),
    logs: logsOf(stack),
    logCommand: service => `docker compose -p ${stack.project} logs ${service}`,
    disposable: stack.suffix !== '',
  }
}

/** What a service has logged in the last `seconds`. */
const logsOf = (stack: Stack) => async (service: string, seconds: number) =>
  (await compose(stack, ['logs', '--no-color', '--no-log-prefix', '--since', `${seconds}s`, service], { what: `Read the log of ${service}` })).stdout

/** Runs a command in a service's container. */
const execIn = (stack: Stack) => async (service: string, argv: string[], input?: string) => {
  const output = await compose(stack, ['exec', '-T', service, ...argv], { nothrow: true, timeout: 60_000, ...(input === undefined ? {} : { input }) })
  if (output.code !== 0) throw new Error(`${argv[0]} in ${service} ended with ${output.code}: ${`${output.stdout}\n${output.stderr}`.trim().split('\n').slice(-3).join(' / ')}`)
  return output.stdout
}
