// Gives Traefik the certificates that a backup has. It serves all environments and restarts for that, so
// it is done where somebody asks for it, and not by the way.
import { exit, Failure } from '../../../errors.ts'
import { loadEnvironment, type Environment } from '../../../kubernetes/environment.ts'
import { findMissingPermissions } from '../../../kubernetes/permissions.ts'
import { requireSupportedCluster } from '../../../kubernetes/versions.ts'
import { emit, printResult, step } from '../../../report.ts'
import { retryAttempts, type Attempt } from '../../../retry.ts'
import { requireManifest, type BackupManifest } from '../../manifest.ts'
import { openBackup, readSavedFile } from '../../restore/open.ts'
import { refuseOtherEnvironment } from '../open.ts'
import type { PodShell } from '../transport.ts'
import {
  edgeName,
  edgeOf,
  findStorage,
  markRead,
  openEdge,
  readStore,
  replaceStore,
  restartEdge,
} from './edge.ts'
import { edgePermissions } from './save.ts'
import { mergeStores, parseStore, type CertificateStore } from './store.ts'

const what = "Bring Traefik's certificates"
const fileName = 'kubernetes/acme.json'

/** How often Traefik is restarted, which may have written over what was brought before. */
const restartLimit = 3

/** What an administrator types for the certificates of a backup; undefined where it has none. */
export const describeCertificates = (
  { files }: BackupManifest,
  folder: string,
  environment: string,
): string | undefined =>
  files.some(({ name }) => name === fileName)
    ? `npx zx scripts/restore.ts ${folder} ${environment} --certificates --identity FILE`
    : undefined

/** Gives Traefik those certificates of a backup that it does not have as good. Throws Failure. */
export async function restoreCertificates(
  name: string,
  folder: string,
  identity: string | undefined,
): Promise<void> {
  // Pre-flight: nothing is touched.
  const environment = loadEnvironment(name)
  const manifest = requireManifest(folder)
  refuseOtherEnvironment(manifest, environment)
  refuseWithout(manifest)
  const identities = await openBackup(folder, manifest, identity)
  const saved = await readSavedStore(folder, manifest, identities)
  await requireSupportedCluster(environment)
  await requireEdgePermissions(environment)
  const paths = await findPaths(await openEdge(environment), saved)

  // Impact.
  const brought = new Set<string>()
  let restarts = 0
  for (; ; restarts++) {
    const { added, written } = await writeMissing(await openEdge(environment), paths)
    if (!written.length) break
    if (restarts === restartLimit)
      throw new Failure(exit.rolledBack, what, 'Traefik has written over them each time', {
        next: 'the same command again, once it asks for no certificate',
      })
    for (const one of added) brought.add(one)
    await restartAndMark(environment, written)
  }
  emit('result', { backup: manifest.name, certificates: [...brought] })
  printResult(describeOutcome(manifest.name, [...brought].sort(), restarts))
}

function describeOutcome(backup: string, brought: string[], restarts: number): string {
  if (brought.length) return `Traefik has the certificates of ${backup} for ${brought.join(', ')}.`
  if (restarts) return 'Traefik has read the certificates that an earlier run had brought.'
  return `Traefik has no use for the certificates of ${backup}: its own are good for as long, or these are over.`
}

/** Throws Failure (refused) for a backup that has none. */
function refuseWithout({ name, engine, files, leftOut }: BackupManifest): void {
  if (files.some(one => one.name === fileName)) return
  const said = leftOut.find(({ volume }) => volume === 'traefik-acme')?.reason
  const why = engine
    ? (said ?? 'Traefik got none for its environment')
    : 'it is of Compose, and those stay there: Traefik asks for its own here'
  throw new Failure(exit.refused, what, `${name} has none: ${why}`, {
    next: 'a backup by an administrator, where there is one: backup.ts status lists them',
  })
}

async function readSavedStore(
  folder: string,
  { files }: BackupManifest,
  identities: string[],
): Promise<CertificateStore> {
  const file = files.find(({ name }) => name === fileName)!
  const text = (await readSavedFile(folder, file, identities)).toString()
  const store = parseStore(text)
  if (store) return store
  throw new Failure(exit.refused, what, `${fileName} is no JSON of certificates`)
}

/** Throws Failure (refused) with the rights that this account lacks. */
async function requireEdgePermissions(environment: Environment): Promise<void> {
  const rights = [...edgePermissions, 'get deployments.apps', 'patch deployments.apps']
  const denied = await findMissingPermissions(edgeOf(environment), rights)
  if (denied.length)
    throw new Failure(
      exit.refused,
      what,
      `in the namespace ${edgeName} this account may not: ${denied.join(', ')}`,
      { next: "the same command in an administrator's context" },
    )
}

/** By file of Traefik, what of a backup goes there. Throws Failure (refused) for a resolver that it does not have. */
async function findPaths(
  shell: PodShell,
  saved: CertificateStore,
): Promise<Map<string, CertificateStore>> {
  const paths = new Map<string, CertificateStore>()
  for (const [resolver, one] of Object.entries(saved)) {
    const path = await findStorage(shell, resolver)
    if (!path)
      throw new Failure(exit.refused, what, `Traefik has no resolver ${resolver} here`, {
        next: 'set it in infra/k8s/cluster/traefik/config.env and apply that, or leave its certificates where they are',
      })
    paths.set(path, { ...paths.get(path), [resolver]: one })
  }
  return paths
}

/**
 * Writes what is missing into Traefik's files. Out: for which hosts, and the files that it must read, those
 * that an earlier run has written among them.
 */
async function writeMissing(
  shell: PodShell,
  paths: Map<string, CertificateStore>,
): Promise<{ added: string[]; written: string[] }> {
  const added: string[] = []
  const written: string[] = []
  for (const [path, saved] of paths) {
    const done = await addToFile(shell, path, saved)
    added.push(...done.added)
    if (done.unread) written.push(path)
  }
  return { added, written }
}

/** Adds to one file, which Traefik may write at any time itself. Throws Failure (5). */
async function addToFile(
  shell: PodShell,
  path: string,
  saved: CertificateStore,
): Promise<{ added: string[]; unread: boolean }> {
  const attempt = async (): Promise<Attempt<{ added: string[]; unread: boolean }>> => {
    const here = await readStore(shell, path)
    const { store, added } = mergeStores(here.store, saved, Date.now())
    if (!added.length) return { done: { added, unread: here.unread } }
    const isWritten = await step(what, () => replaceStore(shell, path, here.sum, store))
    if (isWritten) return { done: { added, unread: true } }
    return { why: `Traefik writes ${path} just then`, wait: 0 }
  }
  const outcome = await retryAttempts(attempt, [500, 1000, 2000])
  if ('done' in outcome) return outcome.done
  throw new Failure(exit.rolledBack, what, outcome.why, { next: 'the same command again' })
}

/** Lets Traefik read its files. Throws Failure. */
async function restartAndMark(environment: Environment, files: string[]): Promise<void> {
  await step('Restart Traefik: no site answers for some seconds', () => restartEdge(environment))
  const shell = await openEdge(environment)
  for (const path of files) await markRead(shell, path)
}
