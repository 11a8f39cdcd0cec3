// A folder in memory for what tests write and soon remove: a disk is slow with git's many small
// files.
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, statfsSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'

/** bytes that must be free */
const room = 1024 ** 3

/**
 * Makes a folder for temporary files in `parent`, removed with this process. Nothing where `parent`
 * is missing, is small, or starts no programs (a container's /dev/shm does not).
 */
export function memoryFolder(parent = '/dev/shm'): string | undefined {
  try {
    const { bavail, bsize } = statfsSync(parent)
    if (bavail * bsize < room) return undefined
    const folder = mkdtempSync(join(parent, 'kgc-test-'))
    process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
    const program = join(folder, 'program')
    writeFileSync(program, '#!/bin/sh\n', { mode: 0o755 })
    if (spawnSync(program).status !== 0) return undefined
    // what tsx has translated stays for the next run
    const translated = `tsx-${userInfo().uid}`
    mkdirSync(join(tmpdir(), translated), { recursive: true })
    symlinkSync(join(tmpdir(), translated), join(folder, translated))
    return folder
  } catch {
    return undefined
  }
}
