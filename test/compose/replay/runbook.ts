// The first commands of the runbook's entries.
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { repository } from '../../sandbox.ts'
import type { Demo, Firing } from './demo.ts'

const text = readFileSync(join(repository, 'infra/monitoring/RUNBOOK.md'), 'utf8')
/** What changes or repairs: it is for a person to decide. */
const changes =
  /\b(restart|prune)\b|up --detach|scripts\/up\.ts|monitor\.ts test-alert|backup\.ts \$MODE/
/** What a host has that is backed up: the test of backups has those. */
const elsewhere = /kgc-backup\.log|\/srv\/backups|prove-key/
/** What ends with another code than 0 when it has found something. */
const judges = /^npx zx scripts\/(smoke|bootstrap|env|backup|monitor)\.ts|^grep |promtool check/

/** The commands of an alert's entry that look and change nothing. */
export function commandsOf(alert: string): string[] {
  const entry = text.split(/^### /m).find(part => part.split('\n')[0] === alert) ?? ''
  const lines = (/```sh\n([\s\S]*?)```/.exec(entry)?.[1] ?? '').trim().split('\n')
  return lines.filter(line => !changes.test(line) && !elsewhere.test(line))
}

export interface Said {
  command: string
  output: string
  /** Why it is no good first command. */
  fault?: string
}

/** Runs them as an operator does, with the variables that the runbook sets from the alert. */
export function runCommands(demo: Demo, { labels }: Firing): Said[] {
  const env = {
    ...process.env,
    P: demo.project,
    MODE: 'demo',
    APP: labels.app,
    SERVICE: labels.service ?? labels.instance,
    KGC_PROJECT: demo.project,
    MONITORING: '1',
    GIT_DIR: join(repository, '.git'),
    NO_COLOR: '1',
  }
  // a container has no sudo, and is root
  const sudo = process.getuid?.() === 0 ? 'sudo() { "$@"; }; ' : ''
  return commandsOf(labels.alertname!).map(command => {
    const { status, stdout, stderr } = spawnSync('sh', ['-c', `${sudo}${command}`], {
      cwd: demo.root,
      env,
      encoding: 'utf8',
      timeout: 240_000,
      maxBuffer: 2 ** 28,
    })
    const output = `${stdout}${stderr}`
    const good = status === 0 || (judges.test(command) && [1, 2, 3, 5, 6].includes(status ?? 0))
    const last = output.trim().split('\n').at(-1)
    return good ? { command, output } : { command, output, fault: `${command}: ${status}: ${last}` }
  })
}
