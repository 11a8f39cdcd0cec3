// Builds images and pushes them to their registry, checks the images that the YAML pins, lists what
// a registry keeps.
import { flag, runCommand, text } from './lib/cli.ts'

await runCommand({
  usage: `Usage: npx zx scripts/images.ts build|push [TARGET …] [--dry-run] [--json]
       npx zx scripts/images.ts pins [--write] [--json]
       npx zx scripts/images.ts list [--prune [--commits] [--keep N] [--dry-run]] [--json]

  build         builds targets of infra/docker/docker-compose.build.yml; without names those whose source is on this machine
  push          builds, then pushes what its registry does not have for that commit: all layers first, the tags last. Reads every digest
                back. Tags: the branch or version (v1.2.3) of the workflow, the full commit of the source and, from main or a version, the
                file's own tag. From there it also builds again what the file builds in another way since
    --replace   also builds and pushes what the registry already has for that commit
  pins          asks the registries of all images that Compose, Kubernetes and Dockerfiles pin: does the tag exist, does the image
                have a digest, and is it the tag's. Exit 2 when not, 3 when a registry does not answer
    --write     writes each tag's digest everywhere; a tag that no longer exists you must replace
  list          the versions of the images built here that their registry keeps, and which releases name them
    --prune     removes versions without a tag; never one that a release names, never the newest N (--keep N, 10). Attestations go with
                their image
    --commits   with --prune: a commit's tag alone does not keep a version
  --dry-run     ends after the plan

Docker's own log-in is used (docker login --password-stdin); list on GitHub takes GITHUB_TOKEN. KGC_SBOM=false leaves the SBOM out.
With GITHUB_OUTPUT set, push appends images=[{target, name, tag, digest}, …].`,
  exitCodes: [0, 2, 3, 5, 130],
  options: { 'dry-run': flag, write: flag, prune: flag, commits: flag, replace: flag, keep: text },
  run: async given => (await import('./lib/commands/images.ts')).runImagesCommand(given),
})
