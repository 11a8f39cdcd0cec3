// Seals an environment's secrets, so that they can stand in git: from its env files into
// infra/k8s/overlays/<environment>/secrets.
import { flag, list, runCommand, text } from './lib/cli.ts'

await runCommand({
  usage: `Usage: npx zx scripts/seal.ts <environment> [--only KEY …] [--all] [--cert FILE]
       npx zx scripts/seal.ts <environment> --check

Fills the SealedSecrets of infra/k8s/overlays/<environment>/secrets from infra/docker/<folder>/.env.<environment>, by kubeseal. Only the
cluster's controller can read what comes out. Keys that are sealed already are left alone: whether they hold today's value cannot be
told from outside, so after a change the key must be named. An optional key that is empty is sealed as empty: it is there, like in
the env file, and a deploy takes it.
  --only KEY    seals this key anew, wherever it stands (repeatable)
  --all         seals every key anew
  --cert FILE   the controller's certificate (kubeseal --fetch-cert), where the cluster cannot be reached from here
  --check       writes nothing: names keys that are missing, empty or unknown, and asks the cluster whether each would unseal`,
  exitCodes: [0, 2, 3, 5, 130],
  options: { check: flag, all: flag, only: list, cert: text },
  run: async given => (await import('./lib/commands/seal.ts')).runSealCommand(given),
})
