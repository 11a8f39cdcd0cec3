// Starts a stack on this machine and waits until every service is truly ready.
import { flag, list, runCommand, text } from './lib/cli.ts'

await runCommand({
  usage: `Usage: npx zx scripts/up.ts [mode] [folder or service …]

Starts a stack and waits until every service is healthy and stays up. A second run changes nothing.
  mode            dev (default), prod or demo: infra/docker/docker-compose.<mode>.yml
  folder          start only these (a folder of infra/docker or a service) and what they depend on
  -f, --file F    a further Compose file
  --rotate-secret KEY   afterwards give this key of the env files another value: the old one serves until all that reads it has the new one
  --upgrade       with a way back: backs up what gets other images, with --identity tries them on the backup first, and puts the old ones back when
                  they do not start or a check fails that passed before
  --identity F    the file with the key that opens the backup (scripts/backup.ts key)
  --restore-on-failure  put the data of the backup back, too: what was written since is lost
  --timeout S     seconds to wait at most (default 2400: a first start may take half an hour)`,
  exitCodes: [0, 2, 3, 4, 5, 6, 7, 130],
  options: {
    file: { ...list, short: 'f' },
    timeout: text,
    'rotate-secret': text,
    upgrade: flag,
    identity: text,
    'restore-on-failure': flag,
  },
  run: async given =>
    given.values.upgrade
      ? (await import('./lib/commands/upgrade.ts')).runUpgradeCommand(given)
      : (await import('./lib/commands/up.ts')).runUpCommand(given),
})
