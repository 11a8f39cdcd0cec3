// Restores a backup: verifies it beside what is there, then swaps; what was there is kept.
import { flag, list, runCommand, text } from './lib/cli.ts'

await runCommand({
  usage: `Usage: npx zx scripts/restore.ts <backup> [mode] [application …] [--identity FILE] [--mask]
       npx zx scripts/restore.ts <backup> <environment> [application …] [--identity FILE] [--mask]
       npx zx scripts/restore.ts <backup> <environment> --certificates [--identity FILE]
       npx zx scripts/restore.ts --from-compose FOLDER [mode] [application …] [--identity FILE]
       npx zx scripts/restore.ts --go-live [mode | environment] [application …]
       npx zx scripts/restore.ts --drop-old [mode | environment] [application …]

Restores a backup that scripts/backup.ts has taken into this machine's stack, also into one that is not there yet: then it writes the env files
and starts the stack. Databases and files are restored beside those that are there and verified; then the applications stop, both swap
names, and the applications start, held back: without workers and without a way out, so that no mail and no webhook goes out before
--go-live. A rerun ends what was interrupted.
  backup          its folder; or s3://BUCKET/PREFIX/NAME by BACKUP_S3_… in infra/docker/.env or the shell, or REMOTE:PATH/NAME by rclone's own configuration:
                  it is copied to --to first (BACKUP_FOLDER in infra/docker/.env, or ./backups)
  mode            dev (default), prod or demo
  environment     of infra/k8s/overlays: it has been deployed, and no deploy changes it meanwhile
  --target T      kubernetes, where the name is a mode's, too
  application     only these (folders of infra/docker); else all that the backup has
  --identity F    the file with the key that opens it (scripts/backup.ts key)
  --go-live       let out what is held back; with a backup: hold nothing back
  --drill         restore beside the stack, one application after the other, see them start, and throw that away: how long an accident would take
  --mask          a copy for staging: without people's names, addresses and log-ins, as infra/docker/<folder>/mask.yaml says, and without files. Not into
                  the stack that the backup is of, nor into an environment that is protected; the env files and Secrets here stay
  --yes           does not ask whether the masked copy may take the place of what is here
  --stay-down     in an environment: do not start the applications; a rollback to the release of the backup does
  --certificates  for an environment, by an administrator: give Traefik those certificates of the backup that it does not have as good, and restore nothing
                  else. It restarts, so for some seconds no site of the cluster answers
  --drop-old      remove what was there before a restore
  --from-compose F  move in from another stack on this machine, KGC's own of today (docs/moving-in.md): F is its Compose folder; again for a further one.
                  It is only read: a backup of it is taken (--to, or BACKUP_FOLDER), proven, and restored
  --file F, --env-file F  its Compose and env files, where its containers do not say with which it was started
  --while-running  though it may go on to write: a try
  --accept-missing-files  though files that rows name are lost there`,
  exitCodes: [0, 2, 3, 4, 5, 6, 7, 130],
  options: {
    identity: text,
    target: text,
    'drop-old': flag,
    'go-live': flag,
    drill: flag,
    mask: flag,
    yes: flag,
    'stay-down': flag,
    certificates: flag,
    'from-compose': list,
    file: list,
    'env-file': list,
    to: text,
    'while-running': flag,
    'accept-missing-files': flag,
  },
  run: async given => (await import('./lib/commands/restore.ts')).runRestoreCommand(given),
})
