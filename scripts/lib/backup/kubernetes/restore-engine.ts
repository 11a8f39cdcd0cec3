// A restore into an environment on Kubernetes: Jobs beside its databases and in its volumes, which stay
// until it ends; what only a superuser may is done in the databases' own containers.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { exit, Failure } from '../../errors.ts'
import type { Environment } from '../../kubernetes/environment.ts'
import type { LockLossCheck } from '../../kubernetes/kubectl-retry.ts'
import type { Manifest } from '../../kubernetes/objects.ts'
import { root } from '../../repository.ts'
import { restoredName } from '../database.ts'
import type { BackupPlace, RestoreEngine, RestorePlace } from '../engine.ts'
import type { PlannedDatabase } from '../plan.ts'
import { swapVariables } from '../swapping.ts'
import { passwordFile, withLogin } from './database.ts'
import { createDatabaseJob, createVolumeJob, serverContainerOf } from './job.ts'
import { askInPod } from './login.ts'
import { startPlace, type PodPlace } from './place.ts'
import { holdBack } from './held.ts'
import { findServerSecret, findUserOf } from './plan.ts'
import { stopWorkloads } from './scale.ts'
import { markSwapping } from './underway.ts'

/**
 * An environment whose databases run; `all` are its objects in the cluster. Each step wants the lock. What is
 * stopped is `held` back.
 */
export function createKubernetesRestoreEngine(
  environment: Environment,
  all: Manifest[],
  lossFailure: LockLossCheck,
  held = false,
): RestoreEngine {
  const servers = all.filter(one => one.kind === 'StatefulSet' && serverContainerOf(one))
  const image = serverContainerOf(servers[0]!)!.image!
  const places = new Map<string, Promise<PodPlace>>()
  const requireLock = () => {
    const lost = lossFailure()
    if (lost) throw lost
  }
  const open = (job: Manifest): Promise<PodPlace> => {
    requireLock()
    const { name } = job.metadata
    if (!places.has(name)) places.set(name, startPlace(environment, job))
    return places.get(name)!
  }
  return {
    atDatabase: async one => {
      const server = servers.find(({ metadata }) => metadata.name === one.service)!
      const place = await open(createDatabaseJob(server, one.database, { proof: false }))
      return { ...place, run: restoring(environment, all, server, one, place) }
    },
    atVolume: ({ name }) =>
      open(createVolumeJob(name, { image, user: findUserOf(all, name), writes: true })),
    ask:
      one =>
      (...words) => {
        requireLock()
        return askInPod(environment, one, ...words)
      },
    swapDatabase: async (one, backup) => {
      requireLock()
      await swapDatabase(environment, one, backup)
    },
    hasVolume: ({ name }) =>
      Promise.resolve(
        all.some(one => one.kind === 'PersistentVolumeClaim' && one.metadata.name === name),
      ),
    createVolume: ({ name }) => {
      throw new Failure(exit.refused, 'Look at what is there', `there is no claim ${name}`, {
        next: `npx zx scripts/deploy.ts ${environment.name}`,
      })
    },
    stopServices: async (plans, backup) => {
      const names = listStopped(plans)
      await markSwapping(environment, backup)
      if (held) await holdBack(environment, all, names, lossFailure)
      await stopWorkloads(environment, names)
    },
  }
}

/** The workloads of applications but for the databases. */
export const listStopped = (
  plans: { services: string[]; databases: PlannedDatabase[] }[],
): string[] =>
  plans.flatMap(({ services, databases }) =>
    services.filter(name => !databases.some(({ service }) => service === name)),
  )

/** SQL of this folder's parent with variables of psql, as superuser. */
function runSql(
  environment: Environment,
  one: PlannedDatabase,
  what: string,
  file: string,
  variables: Record<string, string>,
): Promise<string[][]> {
  const text = readFileSync(join(root, 'scripts/lib/backup', file), 'utf8')
  const lines = Object.entries(variables).map(
    ([key, value]) => `\\set ${key} ${quoteForPsql(value)}`,
  )
  return askInPod(environment, one, what, [...lines, text].join('\n'))
}

/** A word of a meta-command of psql. */
export const quoteForPsql = (text: string): string =>
  `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'").replaceAll('\n', '\\n')}'`

/** Runs a script of a restore over the network; the empty database that a dump goes into is made by the superuser before. */
const restoring =
  (
    environment: Environment,
    all: Manifest[],
    server: Manifest,
    one: PlannedDatabase,
    place: PodPlace,
  ): BackupPlace['run'] =>
  async (what, script, env) => {
    if (script[0] === 'restore-database.sh') {
      const facts = await readText(place, `${one.database}/facts.json`)
      const variables = { db: one.database, new: restoredName(one.database), facts }
      await runSql(environment, one, what, 'create.sql', variables)
    }
    const logins = { [one.login]: findPassword(all, server) }
    return withLogin(environment, one, place, logins, () =>
      place.run(what, script, { PGHOST: one.service, PGPASSFILE: passwordFile, ...env }),
    )
  }

const readText = (place: RestorePlace, name: string): Promise<string> =>
  place.read(name, async bytes => {
    let text = ''
    for await (const part of bytes.setEncoding('utf8')) text += part
    return text
  })

/** What the application logs in with, as the pods of its server read it. */
function findPassword(all: Manifest[], server: Manifest): string {
  const value = findServerSecret(all, server, 'POSTGRES_PASSWORD')
  if (value) return value
  const why = `no Secret gives ${server.metadata.name} its POSTGRES_PASSWORD`
  throw new Failure(exit.refused, 'Look for the password', why)
}

/** What connects in between is cut off again. */
async function swapDatabase(
  environment: Environment,
  one: PlannedDatabase,
  backup: string,
): Promise<void> {
  for (let tries = 1; ; tries++) {
    const what = `Swap ${one.database}`
    const done = await runSql(environment, one, what, 'swap.sql', swapVariables(one, backup)).then(
      () => undefined,
      (error: Error) => error,
    )
    if (!done) return
    if (tries === 10) throw done
    await sleep(1000)
  }
}
