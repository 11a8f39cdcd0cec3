// Makes the first administrator of each application, and with that closes its public onboarding.
import { runCommand, text } from './lib/cli.ts'

await runCommand({
  usage: `Usage: npx zx scripts/admin.ts [mode] [folder …]
       npx zx scripts/admin.ts <environment> [folder …] --target kubernetes

Creates the first administrator of each application from ADMIN_EMAIL and ADMIN_PASSWORD in the root env file, closes the pages on
which any visitor could become one, and then lets Traefik serve the application, which is closed until then. A second run changes nothing.
  mode       dev (default), prod or demo
  --target T compose (default): this machine; kubernetes: an environment of infra/k8s/overlays
  folder     only these (folders of infra/docker that have an admin.ts)`,
  exitCodes: [0, 2, 3, 6, 130],
  options: { target: text },
  run: async given => (await import('./lib/commands/admin.ts')).runAdminCommand(given),
})
