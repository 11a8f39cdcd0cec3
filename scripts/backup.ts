// Takes a backup of a running stack, proven by a restore; lists backups; makes the key that opens them.
import { flag, list, runCommand, text } from './lib/cli.ts'

await runCommand({
  usage: `Usage: npx zx scripts/backup.ts [mode] [application …] [--to FOLDER] [--keep-daily 7 …]
       npx zx scripts/backup.ts <environment> [application …] [--to FOLDER] [--keep-daily 7 …]
       npx zx scripts/backup.ts status [mode] [--to FOLDER]
       npx zx scripts/backup.ts prune [mode] [--to FOLDER] --keep-daily 7 … [--dry-run]
       npx zx scripts/backup.ts prove-key [mode] [WORD] [--to FOLDER] [--identity FILE]
       npx zx scripts/backup.ts copy [mode] [--to FOLDER] [--copy-to s3://BUCKET/PREFIX]
       npx zx scripts/backup.ts key --to FILE

Saves each application's database, files, certificates and env files from the running stack. Each dump is restored into a server of its own
and compared, row by row, before it counts. A backup is a folder of its own in FOLDER; its manifest.json is written last.
  mode               dev (default), prod or demo; an environment of infra/k8s/overlays may stand for it
  --target T         kubernetes, where the name is a mode's, too
  application        only these (folders of infra/docker); else all that have run here
  --to F             the folder with the backups; else BACKUP_FOLDER in infra/docker/.env
  --copy-to U        copy it to s3://BUCKET/PREFIX, too, and read it back; else BACKUP_COPY_TO in infra/docker/.env
  --own-disk         refuse a folder on the system's own disk: that of backups is not mounted
  --recipient R      encrypt to this age recipient (repeatable) instead of BACKUP_RECIPIENTS in infra/docker/.env
  --unencrypted      do not encrypt: everybody who can read the folder has all data and passwords
  --accept-size      less than half of what the backup before had is right
  --accept-missing-files  files that rows name are lost already
  --without-buckets  what an application keeps in a bucket is saved by other means
  --keep-last N, --keep-daily N, --keep-weekly N, --keep-monthly N
                     remove what no rule keeps, after a good backup, as restic's forget does; only good backups count
  status             the backups in FOLDER, checked against their checksums, with age and size, how fast they are back, how much may be lost
  prune              that alone; --dry-run only says what goes, and why the others stay
  prove-key          show that somebody can open the newest backup: by the WORD in its proof.age, or by the key, from a file or typed
  copy               copy to the bucket what it does not have yet
  key                a new age identity in FILE, and on stdout its recipient`,
  exitCodes: [0, 2, 3, 4, 5, 130],
  options: {
    to: text,
    'copy-to': text,
    target: text,
    'own-disk': flag,
    recipient: list,
    unencrypted: flag,
    'accept-size': flag,
    'accept-missing-files': flag,
    'without-buckets': flag,
    'keep-last': text,
    'keep-daily': text,
    'keep-weekly': text,
    'keep-monthly': text,
    'dry-run': flag,
    identity: text,
  },
  run: async given => (await import('./lib/commands/backup.ts')).runBackupCommand(given),
})
