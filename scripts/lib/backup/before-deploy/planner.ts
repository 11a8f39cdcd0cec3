// Saves the data that a deploy to Kubernetes migrates (environment.yaml, `backup:`).
import { mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Migration } from '../../deploy/backup/migrations.ts'
import { saveTitle, type BackupPlanner, type PlannedBackup } from '../../deploy/backup/step.ts'
import type { Lock } from '../../deploy/lock/lock.ts'
import { exit, Failure } from '../../errors.ts'
import { onInterrupt } from '../../interrupt.ts'
import type { Environment } from '../../kubernetes/environment.ts'
import type { Manifest } from '../../kubernetes/objects.ts'
import {
  findCurrentRelease,
  type ReleaseBackup,
  type StoredRelease,
} from '../../kubernetes/releases.ts'
import { warn } from '../../report.ts'
import { recordTry } from '../health/record.ts'
import { withLock } from '../lock.ts'
import { copyBackups } from '../off-site/copy.ts'
import { prepareBackup } from '../kubernetes/backup.ts'
import {
  describeBackup,
  describeDestination,
  readDestination,
  type Destination,
} from './destination.ts'
import { planEnvironment, refuseOutside } from '../kubernetes/plan.ts'
import { findProven } from './proven.ts'
import { withJobsRemoved } from '../kubernetes/workplace.ts'

/** What saves the data of an environment before its deploys migrate it. */
export const createBackupPlanner = (environment: Environment): BackupPlanner => ({
  plan: (migrations, facts) => planSaving(environment, migrations, facts),
})

type Facts = Parameters<BackupPlanner['plan']>[1]

async function planSaving(
  environment: Environment,
  migrations: Migration[],
  { live, manifests, history }: Facts,
): Promise<PlannedBackup | undefined> {
  const own = selectOwn(live, migrations, listUnserved(history))
  if (!own.length) return undefined
  const applications = own.map(({ application }) => application)
  const whys = own.map(({ application, why }) => `${application}: ${why}`)
  const { backup: policy } = environment
  const off = policy?.off ?? (environment.disposable && !policy ? 'disposable: true' : undefined)
  if (off !== undefined)
    return { applications, off, words: [`no backup (${off}): ${whys.join('; ')}`] }
  try {
    const destination = await readDestination(environment)
    const known = await findProven(environment, destination, applications, manifests)
    if (known) {
      const words = [`backup: ${known.name} stands for a new one: ${whys.join('; ')}`]
      return { applications, words, take: () => Promise.resolve(known) }
    }
    const { folder, recipients } = destination
    await prepareBackup(
      environment,
      folder ?? tmpdir(),
      applications,
      options(environment, recipients),
    )
    const place = describeDestination(destination)
    return {
      applications,
      words: [`backup: taken before anything is changed, ${place}: ${whys.join('; ')}`],
      take: lock => save(environment, destination, applications, lock),
    }
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    const { code, what, why, evidence, next } = error
    throw new Failure(
      code === exit.usage ? code : exit.refused,
      saveTitle(applications),
      `${what}: ${why}; nothing was touched`,
      { evidence, next },
    )
  }
}

const options = ({ folder, name }: Environment, recipient: string[]) => ({
  ...{ recipient, quiet: true, 'without-buckets': true },
  withoutWay: `for this deploy backup: { off: "the first one with backups" } in ${folder}/environment.yaml; it opens the way for npx zx scripts/backup.ts ${name}`,
})

/** What deploys have made that never served: nobody has used it. */
const listUnserved = (history: StoredRelease[]): Set<string> =>
  new Set(findCurrentRelease(history) ? [] : history.flatMap(({ created = [] }) => created))

/** The migrations of data that is in the cluster; of a database elsewhere it says who saves it. */
function selectOwn(live: Manifest[], migrations: Migration[], unused: Set<string>): Migration[] {
  const plans = planEnvironment(live)
  return migrations.filter(({ application }) => {
    try {
      refuseOutside(live, [application])
    } catch (error) {
      const { why, next } = error as Failure
      warn(`${application} is migrated without a backup: ${why} (${next?.split(',')[0]})`)
      return false
    }
    const databases = plans.find(({ folder }) => folder === application)?.databases ?? []
    return databases.some(({ service }) => !unused.has(`StatefulSet ${service}`))
  })
}

/** Takes it while the deploy holds the lock. */
async function save(
  environment: Environment,
  destination: Destination,
  applications: string[],
  lock: Lock,
): Promise<ReleaseBackup> {
  const { folder, offSite, recipients } = destination
  const { namespace: project } = environment
  const to = folder ?? mkdtempSync(join(process.env.RUNNER_TEMP || tmpdir(), 'kgc-backup-'))
  const clean = async () => (folder ? undefined : rm(to, { recursive: true, force: true }))
  const forget = onInterrupt(clean)
  try {
    const take = async () => {
      // what is there may have changed since the plan
      const prepared = await prepareBackup(
        environment,
        to,
        applications,
        options(environment, recipients),
      )
      const made = await withJobsRemoved(environment, () => prepared(lock.lossFailure))
      if (offSite) await copyBackups({ project, to }, offSite, made.name)
      return made
    }
    const made = await withLock(project, () => recordTry({ to, project }, false, take))
    return describeBackup(made, destination, applications)
  } finally {
    forget()
    await clean()
  }
}
