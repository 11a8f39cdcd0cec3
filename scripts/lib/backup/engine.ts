// What a backup needs of the engine that the stack runs on. All else is the same on each: what is
// dumped and how it is proven, compared, encrypted and written down.
import type { SmokeTarget } from '../smoke/checks.ts'
import type { SavedImage } from './manifest.ts'
import type { PlannedApplication, PlannedDatabase, PlannedVolume } from './plan.ts'

/** Where scripts of this folder work: beside the data, with a scratch folder `/backup` for what they make. */
export interface BackupPlace {
  /** Runs a script with its words. Out: what it printed. Throws Failure (5) with its cause. */
  run: (what: string, script: string[], env: Record<string, string>) => Promise<string>
  /** Lets `read` have a file of the scratch folder as it comes. */
  read: <T>(name: string, read: (bytes: NodeJS.ReadableStream) => Promise<T>) => Promise<T>
}

/** Scripts find the database's server at PGHOST, 127.0.0.1 where that is not set. */
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
  /** Of its env files: '' or '.demo'. */
  suffix: string
  withDatabase: <T>(
    database: PlannedDatabase,
    work: (place: DatabasePlace) => Promise<T>,
  ) => Promise<T>
  /** The volume is at /volume, read-only. */
  withVolume: <T>(volume: PlannedVolume, work: (place: BackupPlace) => Promise<T>) => Promise<T>
  listSettings: () => Promise<SavedSetting[]>
  /** The images that run, by service, with the digests that registries know them by. */
  describeImages: (plans: PlannedApplication[]) => Promise<Record<string, SavedImage>>
  smokeTarget: () => Promise<SmokeTarget>
}
