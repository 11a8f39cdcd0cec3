// Installs what this machine misses, or (--doctor) says all that is wrong with it and with a stack.
import { flag, runCommand, text } from './lib/cli.ts'

await runCommand({
  usage: `Usage: npx zx scripts/bootstrap.ts [--demo] [--yes] [--plan]
       npx zx scripts/bootstrap.ts --doctor [--environment dev|prod|demo] [--bundle]
       npx zx scripts/bootstrap.ts --doctor --cluster [--environment demo|staging|production]

Installs Docker Engine, Compose v2 and buildx where they are missing, and starts the engine. For Debian 12 and newer and Ubuntu 22.04
and newer, as root; elsewhere it changes nothing and says what to do. A second run changes nothing.
  --demo              also what the demo needs to build its images where no image registry answers
  --yes               does not ask. Without a terminal it never asks: it says what it does and does it.
  --plan              says what it would do and does nothing

  --doctor            reads only: names the problems of machine, engine, env files, images, containers, volumes and certificates, and what fixes them
  --environment E     the stack to look at: dev (default), prod or demo
  --bundle            also writes one file to attach to a report: versions, settings without their values, states, last log lines, without the
                      secrets of the env files. Read it before you give it away
  --cluster           checks the Kubernetes cluster of an environment instead: what it lacks, and what this user may not do;
                      without --environment the cluster of kubectl's current context`,
  exitCodes: [0, 2, 3, 6, 7, 130],
  note: 'With --doctor: 0 when nothing is wrong, 3 when anything is an error or a warning.',
  allowPositionals: false,
  options: {
    yes: { ...flag, short: 'y' },
    plan: flag,
    demo: flag,
    doctor: flag,
    bundle: flag,
    cluster: flag,
    environment: { ...text, short: 'e' },
  },
  run: async given => (await import('./lib/commands/bootstrap.ts')).runBootstrapCommand(given),
})
