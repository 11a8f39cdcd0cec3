// What a backup takes of an environment: what its workloads have in the cluster, by application. Pure.
import type { PodSpec } from 'kubernetes-types/core/v1.js'
import { exit, Failure } from '../../errors.ts'
import { selectKinds, type Manifest, type Pod } from '../../kubernetes/objects.ts'
import { listApplications } from '../../repository.ts'
import {
  decideVolumes,
  type PlannedApplication,
  type PlannedDatabase,
  type PlannedVolume,
} from '../plan.ts'
import { serverContainerOf } from './job.ts'

const partOf = 'app.kubernetes.io/part-of'
const podSpecOf = (workload: Manifest): PodSpec => workload.spec.template.spec

/** The workloads that last, by the application that their label names. */
function groupWorkloads(all: Manifest[]): Map<string, Manifest[]> {
  const folders = listApplications()
  const groups = new Map<string, Manifest[]>()
  for (const one of all.filter(({ kind }) => ['StatefulSet', 'Deployment'].includes(kind))) {
    const folder = one.metadata.labels?.[partOf] ?? ''
    if (folders.includes(folder)) groups.set(folder, [...(groups.get(folder) ?? []), one])
  }
  return groups
}

/** What a Secret among `all` gives to a variable of a database's server. */
export function findServerSecret(
  all: Manifest[],
  server: Manifest,
  variable: string,
): string | undefined {
  const env = serverContainerOf(server)?.env ?? []
  const { name, key = '' } = env.find(one => one.name === variable)?.valueFrom?.secretKeyRef ?? {}
  const secret = all.find(one => one.kind === 'Secret' && one.metadata.name === name)
  const value = (secret?.data as Record<string, string> | undefined)?.[key]
  return value ? Buffer.from(value, 'base64').toString() : undefined
}

function databaseOf(workload: Manifest, all: Manifest[]): PlannedDatabase | undefined {
  const env = serverContainerOf(workload)?.env ?? []
  const valueOf = (key: string) => env.find(({ name }) => name === key)?.value
  const database = valueOf('POSTGRES_DB')
  const service = workload.metadata.name
  if (!database || !env.some(({ name }) => name === 'DATABASE_LOGIN')) return undefined
  // which of the two logs in now is a Secret's to say, where one can be read
  const login =
    valueOf('DATABASE_LOGIN') ??
    findServerSecret(all, workload, 'DATABASE_LOGIN') ??
    `${database}_a`
  return { service, database, login, volume: claimOf(workload, 'data') }
}

/** The claim that a StatefulSet makes of a template for its first pod. */
const claimOf = (workload: Manifest, template: string): string =>
  `${template}-${workload.metadata.name}-0`

/** The claims of workloads, each once; those of a template are called as on Compose, `<service>-<template>`. */
function listClaims(workloads: Manifest[]): PlannedVolume[] {
  const found = new Map<string, PlannedVolume>()
  for (const one of workloads) {
    const { name: service } = one.metadata
    const templates = ((one.spec.volumeClaimTemplates ?? []) as Manifest[]).map(
      ({ metadata: { name } }) => ({ key: `${service}-${name}`, name: claimOf(one, name) }),
    )
    const shared = (podSpecOf(one).volumes ?? []).flatMap(({ persistentVolumeClaim }) => {
      const name = persistentVolumeClaim?.claimName
      return name ? [{ key: name, name }] : []
    })
    for (const { key, name } of [...templates, ...shared]) {
      const services = [...(found.get(name)?.services ?? []), service]
      found.set(name, { key, name, services })
    }
  }
  return [...found.values()]
}

/**
 * What a backup takes of each application in an environment. In: its objects, of the cluster or of an
 * overlay. Throws Failure (usage) for a claim that nobody has decided about.
 */
export const planEnvironment = (all: Manifest[]): PlannedApplication[] =>
  [...groupWorkloads(all)].map(([folder, workloads]) => {
    const databases = workloads.flatMap(one => databaseOf(one, all) ?? [])
    const claims = listClaims(workloads).filter(
      ({ name }) => !databases.some(({ volume }) => volume === name),
    )
    const services = workloads.map(({ metadata }) => metadata.name)
    return { folder, services, databases, ...decideVolumes(folder, claims) }
  })

/** The claims that no workload of an application mounts. */
export function findForeignClaims(all: Manifest[], plans: PlannedApplication[]): string[] {
  const known = plans.flatMap(({ databases, files, leftOut }) => [
    ...databases.map(({ volume }) => volume),
    ...[...files, ...leftOut].map(({ name }) => name),
  ])
  return all
    .filter(
      ({ kind, metadata }) => kind === 'PersistentVolumeClaim' && !known.includes(metadata.name),
    )
    .map(({ metadata }) => metadata.name)
}

/**
 * What the ConfigMaps `<folder>-config` say, called as in the env files of Compose: with the first word of
 * the folder before it.
 */
export const readConfigValues = (all: Manifest[]): Record<string, string> =>
  Object.fromEntries(
    all
      .filter(({ kind }) => kind === 'ConfigMap')
      .flatMap(({ metadata, data }) => {
        const folder = listApplications().find(one => metadata.name.startsWith(`${one}-config`))
        if (!folder) return []
        const prefix = folder.split('-')[0]!.toUpperCase()
        const values = Object.entries((data ?? {}) as Record<string, string>)
        return values.map(([key, value]) => [`${prefix}_${key}`, value])
      }),
  )

/** The running pod that mounts a claim: where a volume of one node can be read. */
export const findUserOf = (all: Manifest[], claim: string): Pod | undefined =>
  selectKinds(all, 'Pod').find(
    ({ spec, status }) =>
      status.phase === 'Running' &&
      spec.volumes?.some(({ persistentVolumeClaim }) => persistentVolumeClaim?.claimName === claim),
  )

/** Throws Failure (refused) for a database that a Service leads to outside of the cluster: another one saves it. */
export function refuseOutside(all: Manifest[], folders: string[]): void {
  for (const { kind, metadata, spec } of all) {
    const outside = kind === 'Service' && spec.type === 'ExternalName'
    const folder = metadata.labels?.[partOf] ?? ''
    if (!outside || !/-db$/.test(metadata.name) || !folders.includes(folder)) continue
    const database = metadata.name.replace(/-db$/, '')
    throw new Failure(
      exit.refused,
      'Choose what to back up',
      `${metadata.name} lies outside of the cluster, at ${spec.externalName}: its own backups save it`,
      {
        next: `pg_dump -h ${spec.externalName} -U ${database}_backup -Fc ${database}, and here name the other applications`,
      },
    )
  }
}
