// A backup of a stack that is moved in from, as if it were one of this stack: its databases and volumes
// under the names that they have here.
import { Readable } from 'node:stream'
import type { ComposeConfig, Stack } from '../../compose/stack.ts'
import { Failure } from '../../errors.ts'
import { warn } from '../../report.ts'
import { run } from '../../run.ts'
import type { SmokeTarget } from '../../smoke/checks.ts'
import { createPlace, listEnvFiles, withProofServer } from '../compose/engine.ts'
import type { Workplace } from '../compose/workplace.ts'
import type { BackupEngine, BackupPlace } from '../engine.ts'
import type { SavedImage } from '../manifest.ts'
import { gatherFiles } from './files.ts'
import { findService, type Move, type OldDatabase } from './find.ts'
import { askingOld, inspectDatabase } from './inspect.ts'
import type { OldStack } from './old-stack.ts'
import { findingServers } from './server.ts'
import type { PlannedValues } from './values.ts'

export interface MoveInRequest {
  stack: Stack
  all: ComposeConfig
  place: Workplace
  moves: Move[]
  olds: OldStack[]
  values: PlannedValues
  /** Others may go on to write there. */
  whileRunning: boolean
  /** The folders of which somebody has an account, as it is found. */
  peopled: Set<string>
}

/** The stack there, read by the tools that are here. */
export function createMoveInEngine(request: MoveInRequest): BackupEngine {
  const { stack, all, place, moves } = request
  const serverOf = findingServers(place)
  const inspected = new Set<OldDatabase>()
  const databases = new Map(moves.flatMap(one => [...one.databases]))
  const files = new Map(moves.flatMap(one => [...one.files]))
  return {
    project: stack.project,
    suffix: stack.suffix,
    withDatabase: async (planned, work) => {
      const old = databases.get(planned)!
      const image = all.services[planned.service]!.image!
      const env = { FROM_DATABASE: old.database, FROM_LOGIN: old.user }
      const network = await serverOf(old)
      if (!inspected.has(old)) await inspectDatabase(request, planned, askingOld(network, old))
      inspected.add(old)
      return work({
        ...createPlace(place, { image, network, env }),
        withProofServer: (what, prove) =>
          withProofServer({ place, all }, planned, image, what, one => prove(lenient(one))),
      })
    },
    withVolume: async (volume, work) =>
      work(
        createPlace(place, {
          volume: `${await gatherFiles(place, volume, files.get(volume) ?? [])}:ro`,
        }),
      ),
    listSettings: () => Promise.resolve({ settings: listSettings(request), leftOut: [] }),
    describeImages: () => Promise.resolve(describeOldImages(moves, request.olds)),
    smokeTarget: () =>
      Promise.resolve({ context: () => ({ exec: execThere }) } as unknown as SmokeTarget),
  }

  /** For what a folder's schema-version.ts asks of its database. */
  async function execThere(service: string, argv: string[]): Promise<string> {
    const [, old] = [...databases].find(([one]) => one.service === service)!
    const { stdout } = await run(['docker', 'exec', await serverOf(old), ...argv])
    return stdout
  }
}

/** The images there by the services' names here. */
export const describeOldImages = (moves: Move[], olds: OldStack[]): Record<string, SavedImage> =>
  Object.fromEntries(
    moves.flatMap(({ rules }) =>
      Object.keys(rules.services).flatMap((service): [string, SavedImage][] => {
        const { stack, name = '' } = findService(olds, rules, service) ?? {}
        const { config, containers } = stack ?? {}
        const image = containers?.get(name)?.Config.Image ?? config?.services[name]?.image
        return image ? [[service, { image, id: '', digests: [] }]] : []
      }),
    ),
  )

/** A release that is older than the query on files may lack what that asks: said, not a failure. */
const lenient = (place: BackupPlace): BackupPlace => ({
  ...place,
  run: async (what, script, env) => {
    try {
      return await place.run(what, script, env)
    } catch (error) {
      const { why = '' } = error as Partial<Failure>
      if (script[0] !== 'named.sh' || !/does not exist/.test(why)) throw error
      warn(`${what}: the release there does not say it (${why})`)
      return place.run(what, script, { ...env, TABLE: '' })
    }
  },
})

/** The env files as they are to be. */
const listSettings = ({ stack, values }: MoveInRequest): ReturnType<typeof listEnvFiles> =>
  listEnvFiles(stack.suffix).map(one => {
    const change = values.changes.find(({ file }) => `env/${file.name}` === one.name)
    return change ? { ...one, read: () => Readable.from([Buffer.from(change.after)]) } : one
  })
