// What an earlier restore has left: its data from before, and a stack that is held back.
import { dirname } from 'node:path'
import { exit, Failure } from '../../errors.ts'
import { readRecord } from '../health/record.ts'
import type { BackupManifest } from '../manifest.ts'
import type { RestoreState } from '../swapping.ts'

/** What an earlier restore has left that has come to its end. */
export interface EarlierRestore {
  /** The command that lets out what it holds back; undefined: nothing is held back. */
  goLive?: string | undefined
  /** The same backup was restored by it. */
  isSame?: boolean
}

/**
 * What an earlier restore into a project or namespace has left, by what the folder of the backups says of
 * the last one; `goLive` where it holds something back.
 */
export function describeEarlier(
  into: string,
  goLive: string | undefined,
  folder: string,
  manifest: Pick<BackupManifest, 'name' | 'project'>,
): EarlierRestore {
  const { restored } = readRecord(dirname(folder), manifest.project)
  const isSame = restored?.backup === manifest.name && restored.into === into
  return { goLive, isSame: goLive !== undefined && isSame }
}

/** Throws Failure (refused) where an earlier restore is not at its end, or its old data is still kept. */
export function refuseOtherRestore(
  states: RestoreState[],
  backup: string,
  command: string,
  { goLive, isSame = false }: EarlierRestore = {},
): void {
  const what = 'Look at what is there'
  const other = states.find(({ begun }) => begun !== undefined && begun !== backup)
  if (other)
    throw new Failure(
      exit.refused,
      what,
      `${other.what} is in the middle of the restore of ${other.begun}`,
      {
        next: `the restore of ${other.begun} again: it comes to its end`,
      },
    )
  const kept = states.filter(({ kept, begun }) => kept && begun === undefined)
  if (kept.length)
    throw new Failure(
      exit.refused,
      what,
      `${isSame ? `${backup} was restored here already: ` : ''}the data from before an earlier restore is still kept: ${kept.map(({ what }) => what).join(', ')}`,
      {
        next: goLive
          ? `look at what is restored, then ${goLive}; to restore another backup, first: ${command}`
          : command,
      },
    )
}
