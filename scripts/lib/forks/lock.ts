// One of these commands at a time in a clone; and what a killed git leaves behind.
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { Failure, exit } from '../errors.ts'
import { root } from '../repository.ts'
import { onInterrupt } from '../interrupt.ts'
import { runGit } from './git.ts'

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** Does the work while no other process does such work here. Throws Failure (locked). */
export async function withForksLock<T>(work: () => Promise<T>): Promise<T> {
  const folder = resolve(root, await runGit(root, ['rev-parse', '--git-path', 'kgc-forks.lock']))
  const release = takeLock(folder)
  const unregister = onInterrupt(release)
  try {
    return await work()
  } finally {
    unregister()
    release()
  }
}

function takeLock(folder: string): () => void {
  const holder = join(folder, 'pid')
  for (;;) {
    try {
      mkdirSync(folder)
      writeFileSync(holder, String(process.pid))
      return () => rmSync(folder, { recursive: true, force: true })
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
      requireLeftBehind(folder, holder)
    }
  }
}

/** Removes the lock of a process that was killed. Throws Failure (locked) while it runs. */
function requireLeftBehind(folder: string, holder: string): void {
  const pid = Number(readFileSync(holder, { encoding: 'utf8', flag: 'a+' }))
  if (pid && isRunning(pid))
    throw new Failure(exit.locked, 'Work on the forks', `process ${pid} does`, {
      next: 'the same command when it has ended',
    })
  rmSync(folder, { recursive: true, force: true })
}

/**
 * Removes the lock files of a git that was killed. Only for a repository in which nobody has worked
 * yet.
 */
export function removeStaleLocks(gitFolder: string): void {
  for (const name of readdirSync(gitFolder, { recursive: true, encoding: 'utf8' }))
    if (name.endsWith('.lock')) rmSync(join(gitFolder, name), { force: true })
}
