// Tells people in Slack and Discord what a deploy does.
import { flag, runCommand, text } from './lib/cli.ts'

await runCommand({
  usage: `Usage: npx zx scripts/notify.ts <started|succeeded|failed|rolled-back> --environment NAME [options]

Posts a message to Slack and Discord: to each whose webhook is set: SLACK_WEBHOOK_URL and DISCORD_WEBHOOK_URL, as a variable or in the
environment's env file. If none is set, nothing happens. A message that does not arrive within 10 s is a warning, not a failure.
  --environment NAME  staging, production …
  --release ID        the release
  --commit SHA        without it GITHUB_SHA
  --actor NAME        who deploys; without it GITHUB_ACTOR
  --duration SECONDS  how long it took
  --link URL          without it the run in GitHub Actions
  --cause TEXT        why it failed or was rolled back
  --next TEXT         the command that goes on from here
  --serving TEXT      what is serving now
  --dry-run           print the messages, send none`,
  exitCodes: [0, 2, 130],
  options: {
    environment: text,
    release: text,
    commit: text,
    actor: text,
    duration: text,
    link: text,
    cause: text,
    next: text,
    serving: text,
    'dry-run': flag,
  },
  run: async given => (await import('./lib/commands/notify.ts')).runNotifyCommand(given),
})
