// Says how a stack's monitoring is, silences it for a time, or proves that its alerts arrive.
import { runCommand, text } from './lib/cli.ts'

await runCommand({
  usage: `Usage: npx zx scripts/monitor.ts status [mode]
       npx zx scripts/monitor.ts silence TIME [mode] --reason TEXT
       npx zx scripts/monitor.ts test-alert [mode]

status       what is measured against what is expected, rules that fail, alerts that fire, and the last line of each service's log
silence      for TIME (90m, 2h, 1d) nobody is told of an alert; the watchdog outside is told all the same
test-alert   sends an alert that says it is a test to the real receivers, and waits until each has taken it
  mode         dev (default), prod or demo
  --reason     why; it stands beside the silence`,
  exitCodes: [0, 2, 3, 6, 130],
  note: 'status: 6 when a target is not measured, a rule fails, no log arrives, or no alert could arrive.',
  options: { reason: text },
  run: async given => (await import('./lib/commands/monitor.ts')).runMonitorCommand(given),
})
