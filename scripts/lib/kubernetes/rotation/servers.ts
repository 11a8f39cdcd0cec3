// The servers of an environment that let pods in by a password of a Secret. Pure.
import type { EnvVar, PodSpec } from 'kubernetes-types/core/v1.js'
import { containerSpecsOf, type Manifest } from '../objects.ts'

/** Where a variable has its value from: it is known, or a key of a Secret holds it. */
export type ValueSource = { value: string } | { secret: string; key: string }

/** A PostgreSQL or a Redis of the environment. */
export interface PasswordServer {
  kind: 'login' | 'redis'
  /** The StatefulSet, and the Service that leads to it. */
  name: string
  pod: string
  container: string
  password: { secret: string; key: string }
  /** Of a `login`: its database, and who logs in with the password. */
  database?: string
  login?: ValueSource
}

const serverKinds = [
  { kind: 'login', container: 'postgres', password: 'POSTGRES_PASSWORD' },
  { kind: 'redis', container: 'redis', password: 'REDIS_PASSWORD' },
] as const

function sourceOf(env: EnvVar[], name: string): ValueSource | undefined {
  const found = env.find(one => one.name === name)
  const { name: secret, key } = found?.valueFrom?.secretKeyRef ?? {}
  if (secret && key) return { secret, key }
  return found?.value ? { value: found.value } : undefined
}

/** The servers among manifests whose password is in a Secret. */
export const findPasswordServers = (all: Manifest[]): PasswordServer[] =>
  all
    .filter(({ kind }) => kind === 'StatefulSet')
    .flatMap(one =>
      serverKinds.flatMap(({ kind, container, password: variable }) => {
        const { containers = [] } = (one.spec.template?.spec ?? {}) as Partial<PodSpec>
        const env = containers.find(({ name }) => name === container)?.env ?? []
        const password = sourceOf(env, variable)
        const database = env.find(({ name }) => name === 'POSTGRES_DB')?.value
        if (!password || !('secret' in password) || (kind === 'login' && !database)) return []
        const { name } = one.metadata
        const server = { kind, name, pod: `${name}-0`, container, password }
        const login = sourceOf(env, 'DATABASE_LOGIN') ?? { value: `${database}_a` }
        return kind === 'login' ? { ...server, database: database!, login } : server
      }),
    )

/** Of the two logins of a database the one that is not used now; undefined for a login of another name. */
export const otherLogin = (database: string, login: string): string | undefined => {
  const pair = [`${database}_a`, `${database}_b`]
  return pair.includes(login) ? pair.find(one => one !== login) : undefined
}

/** Whether pods of this workload, or this pod, read a key of a Secret. */
export function readsSecretKey(one: Manifest, secret: string, key: string): boolean {
  const pod = one.kind === 'Pod' ? { ...one, spec: { template: { spec: one.spec } } } : one
  return containerSpecsOf(pod).some(
    ({ env = [], envFrom = [] }) =>
      env.some(
        ({ valueFrom }) =>
          valueFrom?.secretKeyRef?.name === secret && valueFrom.secretKeyRef.key === key,
      ) || envFrom.some(({ secretRef }) => secretRef?.name === secret),
  )
}
