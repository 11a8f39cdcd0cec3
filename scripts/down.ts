// Stops a stack; its data stays unless it is purged.
import { flag, runCommand } from './lib/cli.ts'

await runCommand({
  usage: `Usage: npx zx scripts/down.ts [mode] [--purge [--yes]]

Stops the containers of a stack and removes them and its networks. Volumes stay.
  mode       dev (default), prod or demo
  --purge    removes the volumes, and with them all data; asks first. A demo's generated env files go too.
  --yes      answers that question`,
  exitCodes: [0, 2, 3, 6, 130],
  options: { purge: flag, yes: { ...flag, short: 'y' } },
  run: async given => (await import('./lib/commands/down.ts')).runDownCommand(given),
})
