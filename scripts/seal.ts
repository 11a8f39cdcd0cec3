// Seals an environment's secrets, so that they can stand in git: from its env files into
// infra/k8s/overlays/<environment>/secrets.
import { flag, list, runCommand, text } from './lib/cli.ts'

await runCommand({
  usage: `Usage: npx zx scripts/seal.ts <environment> [--only KEY …] [--all] [--cert FILE]
       npx zx scripts/seal.ts <environment> --rotate KEY
       npx zx scripts/seal.ts <environment> --check

Fills the SealedSecrets of infra/k8s/overlays/<environment>/secrets from infra/docker/<folder>/.env.<environment>, by kubeseal. Only the
cluster's controller can read the result. Keys that are sealed already stay: nobody else can see whether they hold today's value, so
after a change the key must be named. An optional key that is empty is sealed as empty: the deploy finds it and accepts it.
  --only KEY    seals this key again, wherever it is (repeatable)
  --all         seals every key again
  --rotate KEY  another value for this key, in the env file and sealed: its pods get it by the next deploy, which lets a database or a
                Redis take the new password beside the old one, and takes that away in the end. Keys that data is encrypted with, and
                servers outside of the cluster, are refused with the reason
  --cert FILE   the controller's certificate (kubeseal --fetch-cert), where the cluster cannot be reached from here
  --check       writes nothing: names keys that are missing, empty or unknown, and asks the cluster whether it can unseal each`,
  exitCodes: [0, 2, 3, 5, 130],
  options: { check: flag, all: flag, only: list, cert: text, rotate: text },
  run: async given => (await import('./lib/commands/seal.ts')).runSealCommand(given),
})
