// Takes a backup of a running stack, proven by a restore; lists backups; makes the key that opens them.
import { flag, list, runCommand, text } from './lib/cli.ts'

await runCommand({
  usage: `Usage: npx zx scripts/backup.ts [mode] [application …] --to FOLDER
       npx zx scripts/backup.ts status --to FOLDER
       npx zx scripts/backup.ts key --to FILE

Saves each application's database, files, certificates and env files from the running stack. Each dump is restored into a server of its own
and compared, row by row, before it counts. A backup is a folder of its own in FOLDER; its manifest.json is written last.
  mode               dev (default), prod or demo
  application        only these (folders of infra/docker); else all that have run here
  --to F             the folder with the backups
  --recipient R      encrypt to this age recipient (repeatable) instead of BACKUP_RECIPIENTS in infra/docker/.env
  --unencrypted      do not encrypt: everybody who can read the folder has all data and passwords
  --accept-size      less than half of what the backup before had is right
  --without-buckets  what an application keeps in a bucket is saved by other means
  status             the backups in FOLDER, checked against their checksums, with age and size, and how long the restore took that proved them
  key                a new age identity in FILE, and on stdout its recipient`,
  exitCodes: [0, 2, 3, 4, 5, 130],
  options: {
    to: text,
    recipient: list,
    unencrypted: flag,
    'accept-size': flag,
    'without-buckets': flag,
  },
  run: async given => (await import('./lib/commands/backup.ts')).runBackupCommand(given),
})
