// Who runs the deploy, and where: a workflow's run or a person at a machine.
import { createHash } from 'node:crypto'
import { readFileSync, readlinkSync } from 'node:fs'
import { hostname, userInfo } from 'node:os'

/** Who is at work: the actor of a workflow or the user of this machine. */
export const readActor = (): string =>
  process.env.GITHUB_ACTOR || `${userInfo().username}@${hostname()}`

/** The address of the workflow's run; undefined outside of one. */
export function workflowRunUrl(): string | undefined {
  const {
    GITHUB_SERVER_URL: server,
    GITHUB_REPOSITORY: repository,
    GITHUB_RUN_ID: id,
  } = process.env
  return id ? `${server}/${repository}/actions/runs/${id}` : undefined
}

/**
 * Names this machine as far as its process ids reach: its boot and the namespace of its processes;
 * '' where Linux does not tell.
 */
export function readMachineId(): string {
  try {
    const parts = [
      readFileSync('/proc/sys/kernel/random/boot_id', 'utf8'),
      readlinkSync('/proc/self/ns/pid'),
    ]
    return createHash('sha256').update(parts.join()).digest('hex').slice(0, 16)
  } catch {
    return ''
  }
}

/**
 * Whether a process of this machine runs. One that has ended and that nobody has waited for is
 * still listed: in containers for long.
 */
export function isProcessAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
  try {
    return !/\) [ZX] [^)]*$/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    // where there is no /proc, the signal's answer counts
    return process.platform !== 'linux'
  }
}
