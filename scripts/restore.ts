// Restores a backup: verifies it beside what is there, then swaps; what was there is kept.
import { flag, runCommand, text } from './lib/cli.ts'

await runCommand({
  usage: `Usage: npx zx scripts/restore.ts <backup> [mode] [application …] [--identity FILE]
       npx zx scripts/restore.ts <backup> <environment> [application …] [--identity FILE]
       npx zx scripts/restore.ts --drop-old [mode | environment] [application …]

Restores a backup that scripts/backup.ts has taken into this machine's stack, also into one that is not there yet: then it writes the env files
and starts the stack. Databases and files are restored beside those that are there and verified; then the applications stop, both swap
names, and the applications start. A rerun ends what was interrupted.
  backup          its folder
  mode            dev (default), prod or demo
  environment     of infra/k8s/overlays: it has been deployed, and no deploy changes it meanwhile
  --target T      kubernetes, where the name is a mode's, too
  application     only these (folders of infra/docker); else all that the backup has
  --identity F    the file with the key that opens it (scripts/backup.ts key)
  --drop-old      remove what was there before a restore`,
  exitCodes: [0, 2, 3, 4, 5, 6, 7, 130],
  options: { identity: text, target: text, 'drop-old': flag },
  run: async given => (await import('./lib/commands/restore.ts')).runRestoreCommand(given),
})
