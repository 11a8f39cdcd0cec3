// How busy the machine is, and how much memory a process has taken.
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

/** KiB that a process has had at its peak; 0 when it has ended. */
export function peakMemoryOf(pid: number): number {
  try {
    return Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0)
  } catch {
    return 0
  }
}

/** How busy the machine is: figures of a busy one say little. */
export const load = (): string =>
  spawnSync('uptime', { encoding: 'utf8' }).stdout.replace(/.*load average: ([\d.]+).*\n/, '$1')
