// Checks that a running stack works: the health of its services, then what each application is for.
import { flag, list, runCommand, text } from './lib/cli.ts'

await runCommand({
  usage: `Usage: npx zx scripts/smoke.ts [mode] [--quick] [--only FOLDER] [--mail ADDRESS]
       npx zx scripts/smoke.ts --list [--only FOLDER]
       npx zx scripts/smoke.ts <environment> --target kubernetes […]

Asks every service for its health, then runs the checks of each application (infra/docker/<folder>/smoke.ts) through the edge.
Checks that write run only where the data is disposable (the demo); on a real stack smoke writes nothing. A check whose login is in
no env file here is skipped and does not count as failed.
  mode          dev (default), prod or demo
  --target T    compose (default): this machine; kubernetes: an environment of infra/k8s/overlays (demo, staging, production)
  --quick       health only
  --only F      one application's own checks (repeatable)
  --mail A      only this: each application that sends mail sends one to A with its own settings
  --list        only this: names every check, what it needs, and whether it writes; nothing need run
  --json        NDJSON, one event per check; ok is null where it was not asked
With GITHUB_STEP_SUMMARY set it adds its result to the job's summary.`,
  exitCodes: [0, 2, 3, 6, 130],
  options: { quick: flag, list: flag, only: list, mail: text, target: text },
  run: async given => (await import('./lib/commands/smoke.ts')).runSmokeCommand(given),
})
