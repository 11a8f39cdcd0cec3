// Builds images and pushes them to their registry, checks the images that the YAML pins, lists what
// a registry keeps.
// Usage: npx zx scripts/images.ts build|push [TARGET …] | pins [--write] | list [--prune
// [--commits] [--keep N]]
// Exit codes: 0 2 3 5 130
import { parseArgs } from 'node:util'
import { readScriptArguments, wantsHelp } from './lib/arguments.ts'
import { exit, exitHelp } from './lib/errors.ts'

if (wantsHelp()) {
  console.log(`Usage: npx zx scripts/images.ts build|push [TARGET …] [--dry-run] [--json]
       npx zx scripts/images.ts pins [--write] [--json]
       npx zx scripts/images.ts list [--prune [--commits] [--keep N] [--dry-run]] [--json]

  build         builds targets of infra/docker/docker-compose.build.yml; without names those whose source is on this machine
  push          builds, then pushes what its registry does not have for that commit: all layers first, the tags last. Reads every digest
                back. Tags: the branch or version (v1.2.3) of the workflow, the full commit of the source and, from main or a version, the
                file's own tag. From there it also builds again what the file builds in another way since
    --replace   builds and pushes also what the registry has for that commit
  pins          asks the registries of all images that Compose, Kubernetes and Dockerfiles pin: is the tag there, is the digest its own,
                is there one. Exit 2 when not, 3 when a registry cannot be asked
    --write     writes each tag's digest everywhere; only a tag that is gone is left to you
  list          the versions of the images built here that their registry keeps, and which releases name them
    --prune     removes versions without a tag; never one that a release names, never the newest N (--keep N, 10). Attestations go with
                their image
    --commits   with --prune: a commit's tag alone does not keep a version
  --dry-run     ends after the plan
  --json        NDJSON events on stdout

Docker's own log-in is used (docker login --password-stdin); list on GitHub takes GITHUB_TOKEN. KGC_SBOM=false leaves the SBOM out.
With GITHUB_OUTPUT set, push appends images=[{target, name, tag, digest}, …].

${exitHelp(0, 2, 3, 5, 130)}`)
  process.exit(exit.done)
}

const { Failure } = await import('./lib/errors.ts')
const { runListCommand } = await import('./lib/images/list.ts')
const { runPinsCommand } = await import('./lib/images/pins-command.ts')
const { runBuildCommand, runPushCommand } = await import('./lib/images/commands.ts')
const { setJsonOutput, main } = await import('./lib/report.ts')

await main(async () => {
  const flag = { type: 'boolean' } as const
  const options = {
    json: flag,
    'dry-run': flag,
    write: flag,
    prune: flag,
    commits: flag,
    replace: flag,
    keep: { type: 'string' },
  } as const
  const { values, positionals } = parseArgs({
    args: readScriptArguments(),
    allowPositionals: true,
    options,
  })
  const { json, 'dry-run': dry = false, ...rest } = values
  const { keep = '10' } = rest
  const [verb = '', ...names] = positionals
  const allowed: Record<string, string[]> = {
    build: [],
    push: ['replace'],
    pins: ['write'],
    list: ['prune', 'commits', 'keep'],
  }
  const wrong = Object.keys(rest).filter(option => !allowed[verb]?.includes(option))
  const tooMany = ['pins', 'list'].includes(verb) && names.length > 0
  if (
    !allowed[verb] ||
    wrong.length ||
    tooMany ||
    !/^\d+$/.test(keep) ||
    ((rest.commits || rest.keep) && !rest.prune)
  )
    throw new Failure(
      exit.usage,
      'Read the arguments',
      'one of build, push, pins, list, with its own options',
      { next: 'npx zx scripts/images.ts --help' },
    )
  setJsonOutput(Boolean(json))
  if (verb === 'build') return runBuildCommand(names, dry)
  if (verb === 'push') return runPushCommand(names, dry, Boolean(rest.replace))
  if (verb === 'pins') return runPinsCommand(Boolean(rest.write) && !dry)
  return runListCommand({
    prune: Boolean(rest.prune),
    commits: Boolean(rest.commits),
    keep: Number(keep),
    dry,
  })
})
