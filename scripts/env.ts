// Writes the env files of an environment from the examples, or checks them.
import { flag, runCommand, text } from './lib/cli.ts'

await runCommand({
  usage: `Usage: npx zx scripts/env.ts [environment] [--check]
       npx zx scripts/env.ts --github <environment>
       npx zx scripts/env.ts --owner NAME

Writes infra/docker/.env and a .env in each folder that has a .env.example, and generates the secrets. An existing value never
changes, except where it follows the root file (shared) or the example (pinned). A second run has nothing to do.
  environment   none for this machine's own stack; any other, such as demo, has files of its own: .env.demo
  --check       writes nothing; names every problem by file and key, never by value; exit 2 when there is one
  --github      names the secrets and variables that GitHub's environment has, lacks or has too many, by what the workflows ask for, and the
                commands that set them from the env files; exit 2 when one is missing. Token: GITHUB_TOKEN, GH_TOKEN or gh's own
  --owner       sets whose the images that are built here and their source are, in the example that has the key and wherever else Compose,
                Kubernetes and Renovate must name him; to be committed`,
  exitCodes: [0, 2, 3, 4, 5],
  options: { check: flag, github: flag, owner: text },
  run: async given => (await import('./lib/commands/env.ts')).runEnvCommand(given),
})
