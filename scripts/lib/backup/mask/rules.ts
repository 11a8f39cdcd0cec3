// A restored copy without people: what stands for their data is said by infra/docker/<folder>/mask.yaml,
// and what of a backup such a copy has.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'
import { exit, Failure } from '../../errors.ts'
import { dockerFolder } from '../../repository.ts'
import type { BackupManifest } from '../manifest.ts'
import type { PlannedApplication } from '../plan.ts'

/** What mask.yaml says. In names of tables and columns, schema first, `*` stands for a part. */
export interface MaskRules {
  /** Tables whose rows go. */
  empty: string[]
  /** By table and column, an expression of SQL; {key} in it tells rows apart. */
  replace: Record<string, Record<string, string>>
  /** Columns that stay. Every other one that can hold a text is masked. */
  keep: string[]
}

/** The rules of databases, by name. */
export type MaskByDatabase = Map<string, MaskRules>

/** The rules of an application. Throws Failure (usage) where it has none: nobody has thought about its data. */
export function readMaskRules(folder: string): MaskRules {
  const path = join(dockerFolder, folder, 'mask.yaml')
  if (!existsSync(path))
    throw new Failure(
      exit.usage,
      `Mask ${folder}`,
      `there is no infra/docker/${folder}/mask.yaml`,
      {
        next: 'write one, as docs/adding-an-application.md says',
      },
    )
  const {
    empty = [],
    replace = {},
    keep = [],
  } = parse(readFileSync(path, 'utf8')) as Partial<MaskRules>
  return { empty, replace, keep }
}

/** What a masked restore takes of a backup. */
export interface MaskedRestore {
  plans: PlannedApplication[]
  manifest: BackupManifest
  mask: MaskByDatabase
}

/**
 * Of a backup the databases alone: files show people as well, and what is in the volumes of their
 * applications here belongs to other rows, so that it is emptied. It has a name of its own: a restore
 * that was begun is not ended by one that masks, or the other way round.
 */
export function planMasked(plans: PlannedApplication[], manifest: BackupManifest): MaskedRestore {
  const reason = 'a masked copy has no files'
  const named = manifest.files.filter(
    ({ name }) => !manifest.volumes.some(({ volume }) => name.startsWith(`${volume}/`)),
  )
  return {
    plans: plans.map(one => ({
      ...one,
      files: [],
      leftOut: one.databases.length
        ? [...one.leftOut, ...one.files.map(file => ({ ...file, emptied: true, reason }))]
        : [],
    })),
    manifest: {
      ...manifest,
      name: `${manifest.name}--mask`,
      // rows are there a second time while they change, and a third time while the old ones go
      databases: manifest.databases.map(one => ({ ...one, bytes: 3 * one.bytes })),
      volumes: [],
      files: named,
    },
    mask: new Map(
      plans.flatMap(({ folder, databases }) =>
        databases.map(({ database }) => [database, readMaskRules(folder)] as const),
      ),
    ),
  }
}
