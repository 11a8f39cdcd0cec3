// One backup, restore or removal of a project at a time. The lock is a socket in Linux' abstract
// namespace: the kernel drops it with its process, so that none outlives a crash or a reboot.
import { createServer, type Server } from 'node:net'
import { exit, Failure } from '../errors.ts'

const held = new Set<string>()

const listen = (name: string): Promise<Server> =>
  new Promise((done, fail) => {
    const server = createServer()
    server.once('error', fail)
    server.listen(name, () => done(server.unref()))
  })

/** Does `work` while no other process works on the project's backups. Throws Failure (locked) when one does. */
export async function withLock<T>(project: string, work: () => Promise<T>): Promise<T> {
  if (held.has(project)) return work()
  const server = await listen(`\0kgc-backup-${project}`).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EADDRINUSE') throw error
    throw new Failure(
      exit.locked,
      `Work on the backups of ${project}`,
      'another backup or restore of it runs',
      { next: 'wait until it has ended, then the same command again' },
    )
  })
  held.add(project)
  try {
    return await work()
  } finally {
    held.delete(project)
    server.close()
  }
}
