// What a contract demands before anything starts. Each function throws a Refusal or returns.
import { accessSync, constants, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Refusal } from './log.mjs'

const placeholder = /change.?me|replace|default|insecure|example|password|secret/i

const concerns = (rule, role) => !rule.roles || rule.roles.includes(role)

/** Compose hands over an unset optional variable as an empty one: both mean unset. */
const isSet = (env, name) => (env[name] ?? '') !== ''

/**
 * The variables that the contract demands or refuses.
 * @param {object} contract
 * @param {string | undefined} role
 * @param {NodeJS.ProcessEnv} env
 */
export function demandVariables(contract, role, env) {
  for (const { name, why, section } of contract.removed)
    if (isSet(env, name)) throw new Refusal(name, why, section)
  const asked = ({ when = {} }) =>
    Object.entries(when).every(([name, values]) =>
      new RegExp(`^(${values})$`).test(env[name] ?? ''),
    )
  for (const rule of contract.variables.filter(rule => concerns(rule, role) && asked(rule))) {
    const { name, section } = rule
    if (rule.notEmpty && env[name] === '')
      throw new Refusal(name, `set to nothing; ${rule.why}`, section)
    if (!isSet(env, name)) {
      if (rule.required) throw new Refusal(name, `not set; ${rule.why}`, section)
      continue
    }
    const value = env[name]
    const wrong = why => {
      throw new Refusal(name, why, section)
    }
    if (rule.match && !new RegExp(rule.match).test(value)) wrong(rule.why)
    if (rule.notMatch && new RegExp(rule.notMatch).test(value)) wrong(rule.why)
    if (rule.secret && placeholder.test(value)) wrong('a public default or a placeholder')
    if (rule.base64Bytes && !isBase64Of(value, rule.base64Bytes))
      wrong(`not ${rule.base64Bytes} bytes in base64; ${rule.why}`)
  }
}

function isBase64Of(value, bytes) {
  return /^[A-Za-z0-9+/]+=*$/.test(value) && Buffer.from(value, 'base64').length === bytes
}

/**
 * The folders that must be mounted volumes, and writable.
 * @param {object} contract
 * @param {string | undefined} role
 * @param {NodeJS.ProcessEnv} env
 */
export function demandVolumes(contract, role, env) {
  const mounts = new Map(
    readFileSync('/proc/self/mountinfo', 'utf8')
      .split('\n')
      .filter(Boolean)
      .map(line => {
        const [left, right] = line.split(' - ')
        return [left.split(' ')[4], right.split(' ')[0]]
      }),
  )
  for (const { path, why, section, unless = {}, roles } of contract.volumes) {
    if (!role || !roles.includes(role)) continue
    if (
      Object.entries(unless).some(([name, values]) =>
        new RegExp(`^(${values})$`).test(env[name] ?? ''),
      )
    )
      continue
    const type = mounts.get(path)
    if (!type) throw new Refusal(path, `no volume is mounted there; ${why}`, section)
    if (type === 'tmpfs') throw new Refusal(path, `a tmpfs forgets; ${why}`, section)
    try {
      accessSync(path, constants.W_OK)
      const probe = join(path, `.probe-${process.pid}`)
      writeFileSync(probe, '')
      rmSync(probe)
    } catch (error) {
      throw new Refusal(path, `not writable by uid ${process.getuid?.()}: ${error.code}`, section)
    }
  }
}

/**
 * The Redis that keeps what it is given.
 * @param {object} contract
 * @param {string | undefined} role
 * @param {{ configGet(name: string): Promise<Record<string, string>> }} redis
 */
export async function demandEviction(contract, role, redis) {
  const rule = contract.redis
  if (!rule || !concerns(rule, role)) return
  const policy = (await redis.configGet('maxmemory-policy'))['maxmemory-policy']
  if (policy !== rule.policy)
    throw new Refusal('maxmemory-policy', `Redis evicts (${policy}); ${rule.why}`, rule.section)
}
