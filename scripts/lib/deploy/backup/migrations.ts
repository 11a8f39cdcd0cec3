// Which applications' data a deploy migrates, or may migrate: known before anything is touched.
import { containerSpecsOf, resourceId, type Manifest } from '../../kubernetes/objects.ts'
import { findCurrentRelease } from '../../kubernetes/releases.ts'
import { applyOrderOf } from '../apply/order.ts'
import type { ChangePlan, DeployRequest } from '../change.ts'
import type { PreflightResult } from '../preflight.ts'
import { judgeSchema, readSchemaLabels } from '../verify/schema-changes.ts'
import { fetchSchemaVersions } from '../verify/schema-versions.ts'

/** An application whose data is migrated, and why that is so. */
export interface Migration {
  /** A folder of infra/docker. */
  application: string
  why: string
}

const partOf = 'app.kubernetes.io/part-of'
const applicationOf = ({ metadata }: Manifest): string => metadata.labels?.[partOf] ?? ''
const isWorkload = ({ kind }: Manifest) => /^(Deployment|StatefulSet)$/.test(kind)

/**
 * What migrates an application's data: its Jobs; where it has none what runs of it, for then its image
 * migrates when it starts.
 */
export function listMigrators(all: Manifest[], application: string): Manifest[] {
  const own = all.filter(one => applicationOf(one) === application)
  const jobs = own.filter(one => one.kind === 'Job')
  if (jobs.length) return jobs
  return own.filter(one => isWorkload(one) && applyOrderOf(one) === 'application')
}

/** The images of a workload that may hold migrations: those of a server of data, which it waits for, do not. */
function migratingImages(workload: Manifest | undefined, all: Manifest[]): string[] {
  const servers = all.filter(one => isWorkload(one) && applyOrderOf(one) === 'data')
  const known = new Set(servers.flatMap(containerSpecsOf).map(({ image }) => image))
  const images = workload ? containerSpecsOf(workload).map(({ image }) => image) : []
  return images.filter(image => !known.has(image)).sort()
}

type Facts = Pick<PreflightResult, 'manifests' | 'live' | 'history'>
/** What is known of one workload; words alone are no migration. */
interface Judged {
  words?: string | undefined
  migration?: Migration
}

/**
 * The migrations of a change, for people and one for each application. A workload with a schema label
 * migrates where the database records another schema; without one nobody knows, so that another image
 * may migrate.
 */
export async function findMigrations(
  target: DeployRequest['target'],
  facts: Facts,
  plan: Pick<ChangePlan, 'created' | 'changed' | 'jobs'>,
): Promise<{ words: string[]; migrations: Migration[] }> {
  const { manifests } = facts
  const applied = [...plan.created, ...plan.changed, ...plan.jobs.map(resourceId)]
  const applications = [...new Set(manifests.map(applicationOf).filter(Boolean))].sort()
  const judged = await Promise.all(
    applications.map(async application => {
      const migrators = listMigrators(manifests, application)
      const coming = migrators.filter(one => applied.includes(resourceId(one)))
      const one = await Promise.all(coming.map(each => judge(target, facts, application, each)))
      return {
        words: one.flatMap(({ words }) => words ?? []),
        first: one.find(each => each.migration),
      }
    }),
  )
  return {
    words: judged.flatMap(({ words }) => words),
    migrations: judged.flatMap(({ first }) => first?.migration ?? []),
  }
}

async function judge(
  target: DeployRequest['target'],
  facts: Facts,
  application: string,
  workload: Manifest,
): Promise<Judged> {
  const { manifests, live, history } = facts
  const name = resourceId(workload)
  // a Job may be gone by now; what runs is what the cluster has
  const before = workload.kind === 'Job' ? findCurrentRelease(history)?.manifests : live
  const old = before?.find(one => resourceId(one) === name)
  const isSame =
    migratingImages(workload, manifests).join() === migratingImages(old, before ?? []).join()
  if (isSame && workload.kind !== 'Job') return {}
  const labels = await readSchemaLabels(workload)
  const because = (why: string) => ({ migration: { application, why } })
  if (labels instanceof Error) {
    const words = `${name}: it is not known whether the schema changes: ${labels.message}`
    return { words, ...(isSame ? {} : because(words)) }
  }
  const isLabelled = judgeSchema(name, labels, undefined).moves !== undefined
  // a database that is not there yet would be waited for
  const isThere = live.some(one => isWorkload(one) && applicationOf(one) === application)
  const heads =
    isLabelled && isThere
      ? await fetchSchemaVersions(target, manifests, [], [application])
      : undefined
  const { moves, words } = judgeSchema(name, labels, heads)
  if (moves !== undefined) return { words, ...(moves ? because(words!) : {}) }
  return isSame ? {} : because(`${name}: another image, and no label says whether it migrates`)
}
