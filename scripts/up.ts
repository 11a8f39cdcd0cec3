// Starts a stack on this machine and waits until every service is truly ready.
import { list, runCommand, text } from './lib/cli.ts'

await runCommand({
  usage: `Usage: npx zx scripts/up.ts [mode] [folder or service …]

Starts a stack and waits until every service is healthy and stays up. A second run changes nothing.
  mode            dev (default), prod or demo: infra/docker/docker-compose.<mode>.yml
  folder          start only these (a folder of infra/docker or a service) and what they depend on
  -f, --file F    a further Compose file
  --rotate-secret KEY   afterwards give this key of the env files another value: the old one serves until all that reads it has the new one
  --timeout S     seconds to wait at most (default 2400: a first start may take half an hour)`,
  exitCodes: [0, 2, 3, 5, 6, 7, 130],
  options: { file: { ...list, short: 'f' }, timeout: text, 'rotate-secret': text },
  run: async given => (await import('./lib/commands/up.ts')).runUpCommand(given),
})
