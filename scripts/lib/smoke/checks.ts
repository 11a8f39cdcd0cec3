// The applications' checks, what they get to work with, and which of them can run.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { loadAppModules } from './app-modules.ts'
import type { Edge } from './edge.ts'
import { loadEnvValues, readEnvFile } from '../env/files.ts'
import { runCheck, type CheckOutcome } from './outcome.ts'
import { dockerFolder, root } from '../repository.ts'
import { constantDelays, pollUntil } from '../retry.ts'
import type { RunOutput } from '../run.ts'

/** What an application's own checks get (infra/docker/<folder>/smoke.ts exports `checks`). */
export interface SmokeContext {
  edge: Edge
  /** `https://<name>.<domain>[:port]` */
  address: (subdomain: string) => string
  /** The stack's settings, shared and the folder's own. */
  env: Record<string, string>
  /**
   * Runs a command in a service's container; `input` goes to standard input. Throws with what it
   * printed when it fails.
   */
  exec: (service: string, argv: string[], input?: string) => Promise<string>
  /** What a service has logged in the last `seconds`. */
  logs: (service: string, seconds: number) => Promise<string>
  /** The command that shows a person a service's log. */
  logCommand: (service: string) => string
  /** May the check write? Only in a stack without a user's data. */
  disposable: boolean
}

/** Where a stack runs, on this machine or in a cluster, and what smoke and admin ask of it. */
export interface SmokeTarget {
  title: string
  /** Throws Failure (refused) when nothing of it runs. */
  requireRunning: () => Promise<void>
  health: () => Promise<CheckOutcome[]>
  context: (folder: string) => SmokeContext
  /** Checks of what is no application, such as the monitoring. */
  ownChecks?: () => RunnableCheck[]
  /**
   * Lets the edge serve an application whose administrator is there; returns a few words, '' when
   * nothing kept it from that.
   */
  open: (folder: string) => Promise<string>
  /** The root env file, as people read it. */
  envFile: string
  /** The command that says what is wrong with it. */
  doctor: string
  /** The command that lets it out when a restore holds it back, which leaves services out; else undefined. */
  findGoLive?: () => Promise<string | undefined>
}

export interface SmokeCheck {
  name: string
  /** Only where the stack is disposable: it writes. */
  writes?: boolean
  /**
   * The settings without which it cannot be asked, such as ADMIN_PASSWORD: a workflow's checkout
   * has no env files.
   */
  needs?: string[]
  /** Returns a short detail; throws when the product does not do what it should. */
  run: (context: SmokeContext) => Promise<string | void>
}

/**
 * `infra/docker/<folder>/admin.ts` exports `createAdmin`: makes the first administrator and closes
 * the application's public onboarding.
 */
export interface Admin {
  email: string
  password: string
}
/** Idempotent; returns what was done, in a few words. Throws with the cause. */
export type CreateAdmin = (context: SmokeContext, admin: Admin) => Promise<string>

/**
 * `smoke.ts` may export `sendMail`: sends one mail from the application's own container with its
 * own settings. Throws with the server's words.
 */
export type SendMail = (context: SmokeContext, to: string) => Promise<string>

/**
 * Asks again until `probe` returns something, at most `seconds` long; `undefined` when it never
 * did.
 */
export async function pollUntilFound<T>(
  probe: () => Promise<T | undefined>,
  seconds: number,
): Promise<T | undefined> {
  return pollUntil(probe, found => found !== undefined, constantDelays(300, seconds * 1000))
}

/** A service that is outside the cluster (infra/k8s/components): no command can be run in it. */
export class OutsideServiceError extends Error {}

/** The error for a command that failed in a service: the last it said. */
export function commandFailed(
  command: string,
  service: string,
  { code, stdout, stderr }: RunOutput,
): Error {
  // a stack trace comes after the cause, and would hide it
  const said = `${stdout}\n${stderr}`
    .trim()
    .split('\n')
    .filter(line => line.trim() && !/^\s*(at |from )\S|^Node\.js v\d/.test(line))
    .slice(-3)
    .join(' / ')
  return new Error(`${command} in ${service} ended with ${code}: ${said}`)
}

/** A check of an application as it can be asked, within `timeout` ms. */
export interface RunnableCheck {
  name: string
  ask: (timeout: number) => Promise<CheckOutcome>
}

/**
 * The checks of what the applications are for that may run there, each with its application's name;
 * `only`: of these folders.
 */
export async function productChecks(
  target: SmokeTarget,
  only?: string[],
): Promise<RunnableCheck[]> {
  const folders = await loadAppModules<{ checks: SmokeCheck[] }>('smoke.ts', only)
  return folders.flatMap(({ folder, checks }) => {
    const context = target.context(folder)
    return checks
      .filter(({ writes }) => !writes || context.disposable)
      .map(check => toRunnableCheck(`${folder}: ${check.name}`, check, context, target.envFile))
  })
}

/** A check without the settings that it needs is not asked. */
export function toRunnableCheck(
  name: string,
  { needs = [], run }: SmokeCheck,
  context: SmokeContext,
  envFile: string,
): RunnableCheck {
  const lacks = needs.filter(key => !context.env[key])
  const unasked = {
    name,
    ok: null,
    detail: `not asked: ${lacks.join(', ')} not set in ${envFile}`,
    ms: 0,
  }
  return {
    name,
    ask: async timeout => (lacks.length ? unasked : runCheck(name, () => run(context), timeout)),
  }
}

/**
 * The settings of an environment for a folder's checks, its own and the shared ones; remembers the
 * secrets for redaction.
 */
export function checkSettings(suffix: string, folder: string): Record<string, string> {
  loadEnvValues(root, suffix.slice(1))
  const own = join(dockerFolder, folder, `.env${suffix}`)
  return {
    ...readEnvFile(join(dockerFolder, `.env${suffix}`)),
    ...(existsSync(own) ? readEnvFile(own) : {}),
  }
}
