// Saves the data that a deploy to Kubernetes migrates (environment.yaml, `backup:`).
import { mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { hostname, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import type { Migration } from '../../deploy/backup/migrations.ts'
import { saveTitle, type BackupPlanner, type PlannedBackup } from '../../deploy/backup/step.ts'
import type { Lock } from '../../deploy/lock/lock.ts'
import { createKubernetesDeployTarget } from '../../deploy/target.ts'
import { fetchSchemaVersions } from '../../deploy/verify/schema-versions.ts'
import { loadEnvValues } from '../../env/files.ts'
import { exit, Failure } from '../../errors.ts'
import { onInterrupt } from '../../interrupt.ts'
import type { Environment } from '../../kubernetes/environment.ts'
import type { Manifest } from '../../kubernetes/objects.ts'
import { findCurrentRelease, type ReleaseBackup } from '../../kubernetes/releases.ts'
import { keepSecret } from '../../redact.ts'
import { warn } from '../../report.ts'
import { root } from '../../repository.ts'
import { recordTry } from '../health/record.ts'
import { withLock } from '../lock.ts'
import { findBackups, findDamage, type BackupManifest } from '../manifest.ts'
import {
  copyBackups,
  readCopiedManifests,
  readOffSite,
  requireRclone,
  type OffSite,
} from '../off-site/copy.ts'
import { prepareBackup } from './backup.ts'
import { planEnvironment, refuseOutside } from './plan.ts'
import { withJobsRemoved } from './workplace.ts'

/** Where a backup goes, and who may open it. */
interface Destination {
  /** Without it the folder is gone when the copy is there. */
  folder: string | undefined
  offSite: OffSite | undefined
  recipients: string[]
}

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
  const own = selectOwn(live, migrations)
  if (!own.length) return undefined
  const applications = own.map(({ application }) => application)
  const whys = own.map(({ application, why }) => `${application}: ${why}`)
  // a first deploy that failed has left databases that nobody has used
  if (history.length && !findCurrentRelease(history)) return undefined
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

/** The migrations of data that is in the cluster; of a database elsewhere it says who saves it. */
function selectOwn(live: Manifest[], migrations: Migration[]): Migration[] {
  const plans = planEnvironment(live)
  return migrations.filter(({ application }) => {
    try {
      refuseOutside(live, [application])
    } catch (error) {
      const { why, next } = error as Failure
      warn(`${application} is migrated without a backup: ${why} (${next?.split(',')[0]})`)
      return false
    }
    return plans.some(({ folder, databases }) => folder === application && databases.length)
  })
}

/** What environment.yaml says, else the env files of the environment, else BACKUP_… of the shell. */
async function readDestination(environment: Environment): Promise<Destination> {
  const { backup: policy = {}, folder: overlay, name } = environment
  const settings = readSettings(name)
  const to = policy.to ?? settings.BACKUP_FOLDER
  const offSite = readOffSite(policy.copyTo, settings)
  const what = 'Read where backups go'
  const file = `${overlay}/environment.yaml`
  const isThrownAway = process.env.RUNNER_ENVIRONMENT === 'github-hosted'
  if (!offSite && (!to || isThrownAway))
    throw new Failure(
      exit.refused,
      what,
      to
        ? `a runner of GitHub's is thrown away with ${to}`
        : `neither ${file} nor an env file says it`,
      {
        next: `backup: { ${isThrownAway ? 'copyTo: "s3://bucket/prefix"' : 'to: /srv/backups'}, recipients: [age1…] } in ${file}, or backup: { off: "the reason" } (docs/deploying.md)`,
      },
    )
  const recipients = policy.recipients ?? splitList(settings.BACKUP_RECIPIENTS)
  if (!recipients.length)
    throw new Failure(exit.refused, what, 'nobody could open it: there is no recipient', {
      next: `npx zx scripts/backup.ts key --to FILE, then its recipient in backup: { recipients: [age1…] } in ${file}`,
    })
  if (offSite) await requireRclone(offSite)
  return { folder: to ? resolve(to) : undefined, offSite, recipients }
}

const splitList = (text = ''): string[] =>
  text
    .split(',')
    .map(one => one.trim())
    .filter(Boolean)

function readSettings(name: string): Record<string, string> {
  const given = Object.entries(process.env).flatMap(([key, value]): [string, string][] =>
    key.startsWith('BACKUP_') && value ? [[key, value]] : [],
  )
  for (const [key, value] of given) if (/SECRET|KEY/.test(key)) keepSecret(value)
  const own = Object.entries(loadEnvValues(root, name, true)).filter(([, value]) => value)
  return Object.fromEntries([...given, ...own])
}

const describeDestination = ({ folder, offSite }: Destination): string =>
  [folder && `into ${folder}`, offSite && `copied to ${offSite.url}`].filter(Boolean).join(', ')

/** A proven backup that is not older than environment.yaml says, of the schemas as they are. */
async function findProven(
  environment: Environment,
  destination: Destination,
  applications: string[],
  manifests: Manifest[],
): Promise<ReleaseBackup | undefined> {
  const { backup: { maxAgeHours } = {}, namespace: project } = environment
  if (!maxAgeHours) return undefined
  const since = new Date(Date.now() - maxAgeHours * 3_600_000)
  const { folder = '', offSite } = destination
  const target = createKubernetesDeployTarget(environment)
  const [heads, found] = await Promise.all([
    fetchSchemaVersions(target, manifests, [], applications),
    offSite
      ? readCopiedManifests(offSite, project, since)
      : findBackups(folder).flatMap(({ manifest }) => manifest ?? []),
  ])
  for (const one of found.filter(
    each => each.project === project && standsFor(each, since, applications, heads),
  ))
    if (offSite || !(await findDamage(join(folder, one.name), one)).length)
      return describeBackup(one, destination, applications)
  return undefined
}

/** Whether it has all that is needed of the data as it is. Pure. */
export function standsFor(
  { created, applications, schemaVersions, recipients }: BackupManifest,
  since: Date,
  wanted: string[],
  heads: Record<string, string>,
  now = Date.now(),
): boolean {
  const time = Date.parse(created)
  return (
    time >= since.getTime() &&
    time <= now &&
    recipients.length > 0 &&
    wanted.every(
      one => applications.includes(one) && heads[one] !== '?' && heads[one] === schemaVersions[one],
    )
  )
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

const describeBackup = (
  { name, created, schemaVersions }: BackupManifest,
  { folder, offSite }: Destination,
  applications: string[],
): ReleaseBackup => ({
  ...{ name, created, applications },
  heads: Object.fromEntries(applications.map(one => [one, schemaVersions[one] ?? '?'])),
  ...(folder ? { folder: { path: folder, machine: hostname() } } : {}),
  ...(offSite ? { copy: offSite.url } : {}),
})
