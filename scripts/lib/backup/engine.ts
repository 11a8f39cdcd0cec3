// What a backup needs of the engine that the stack runs on. All else is the same on each: what is
// dumped and how it is proven, compared, encrypted and written down.
import type { Readable } from 'node:stream'
import type { SmokeTarget } from '../smoke/checks.ts'
import type { ScratchFile } from './helper.ts'
import type { BackupManifest, LeftOut, SavedImage } from './manifest.ts'
import type { PlannedApplication, PlannedDatabase, PlannedVolume } from './plan.ts'

/** Where scripts of this folder work: beside the data, with a scratch folder `/backup` for what they make. */
export interface BackupPlace {
  /** Runs a script with its words. Out: what it printed. Throws Failure (5) with its cause. */
  run: (what: string, script: string[], env: Record<string, string>) => Promise<string>
  /** Lets `read` have a file of the scratch folder as it comes. */
  read: <T>(name: string, read: (bytes: NodeJS.ReadableStream) => Promise<T>) => Promise<T>
}

/** Scripts find the database's server at PGHOST, or 127.0.0.1. */
export interface DatabasePlace extends BackupPlace {
  /** Lets `work` find a server of the same image instead, which holds nothing and is gone afterwards. */
  withProofServer: <T>(what: string, work: (place: BackupPlace) => Promise<T>) => Promise<T>
}

/** A setting or a secret of the stack, to be stored as it is. */
export interface SavedSetting {
  /** Below the backup's folder. */
  name: string
  read: () => NodeJS.ReadableStream
}

/** A stack as its engine has it. */
export interface BackupEngine {
  /** Who it is for its backups: the Compose project, or the namespace. */
  project: string
  /** What a manifest says of it. */
  name?: BackupManifest['engine']
  /** Of its env files: '' or '.demo'. */
  suffix: string
  withDatabase: <T>(
    database: PlannedDatabase,
    work: (place: DatabasePlace) => Promise<T>,
  ) => Promise<T>
  /** The volume is at /volume, read-only. */
  withVolume: <T>(volume: PlannedVolume, work: (place: BackupPlace) => Promise<T>) => Promise<T>
  /** What no volume holds, and what of that this account may not read. */
  listSettings: () => Promise<{ settings: SavedSetting[]; leftOut: LeftOut[] }>
  /** The images that run, by service, with the digests that registries know them by. */
  describeImages: (plans: PlannedApplication[]) => Promise<Record<string, SavedImage>>
  smokeTarget: () => Promise<SmokeTarget>
}

/** A place that files of a backup are brought to. */
export interface RestorePlace extends BackupPlace {
  /** Brings a file of so many bytes into the scratch folder. Out: its size and checksum there. */
  write: (name: string, bytes: number, open: () => Promise<Readable>) => Promise<ScratchFile>
  /** Bytes that are free where the scratch folder is. */
  measureFreeSpace: () => Promise<number>
}

/** Asks a server as its superuser. Out: rows of columns. Throws Failure (5) with the server's words. */
export type AskServer = (what: string, query: string) => Promise<string[][]>

/** A stack as its engine has it, for a restore. Its places are there until the restore ends. */
export interface RestoreEngine {
  atDatabase: (database: PlannedDatabase) => Promise<RestorePlace>
  /** The volume is at /volume. */
  atVolume: (volume: PlannedVolume) => Promise<RestorePlace>
  ask: (database: PlannedDatabase) => AskServer
  /** Gives the restored database its name and keeps the one before, both or neither (swap.sql). */
  swapDatabase: (database: PlannedDatabase, backup: string) => Promise<void>
  hasVolume: (volume: PlannedVolume) => Promise<boolean>
  createVolume: (volume: PlannedVolume) => Promise<void>
  /** All but the databases, which swap while they run. From now on the backup's restore is underway. */
  stopServices: (plans: PlannedApplication[], backup: string) => Promise<void>
}
