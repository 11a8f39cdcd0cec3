// Who is at work, and where: a workflow's run or a person at a machine.
import { createHash } from 'node:crypto'
import { readFileSync, readlinkSync } from 'node:fs'
import { hostname, userInfo } from 'node:os'

/** Who is at work: the actor of a workflow or the user of this machine. */
export const actor = (): string => process.env.GITHUB_ACTOR || `${userInfo().username}@${hostname()}`

/** The address of the workflow's run; undefined outside of one. */
export function runUrl(): string | undefined {
  const { GITHUB_SERVER_URL: server, GITHUB_REPOSITORY: repository, GITHUB_RUN_ID: id } = process.env
  return id ? `${server}/${repository}/actions/runs/${id}` : undefined
}

/** Names this machine as far as its process ids reach: its boot and the namespace of its processes; '' where Linux does not tell. */
export function machine(): string {
  try {
    const parts = [readFileSync('/proc/sys/kernel/random/boot_id', 'utf8'), readlinkSync('/proc/self/ns/pid')]
    return createHash('sha256').update(parts.join()).digest('hex').slice(0, 16)
  } catch {
    return ''
  }
}

/** Whether a process of this machine is there. */
export function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
