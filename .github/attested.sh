#!/usr/bin/env bash
# Verifies that images were built and signed by this repository's own workflow, on main.
# Usage: attested.sh IMAGE@DIGEST
#        attested.sh --plan FILE ENVIRONMENT   those of the environment's registry that `deploy.ts --dry-run --json` is to put in place;
#                                              what serves already may be there unsigned, or nothing could ever replace it
set -euo pipefail
cd "$(dirname "$0")/.."

verify() {
  gh attestation verify "oci://$1" --repo "$GITHUB_REPOSITORY" --signer-workflow "$GITHUB_REPOSITORY/.github/workflows/deploy-staging.yml" \
    --source-ref refs/heads/main
}

if [ "$1" != --plan ]; then
  verify "$1"
  exit
fi
registry=$(sed -n 's/^images: *//p' "infra/k8s/overlays/$3/environment.yaml")

# planned LIST FILE: the registry's images in a list of the plan
planned() {
  sed -n "/\"event\":\"plan\"/s/.*\"$1\":\[\([^]]*\)\].*/\1/p" "$2" | grep -oE "\"${registry//./\\.}/[^\"@]+@sha256:[0-9a-f]{64}\"" | tr -d '"' | sort -u || true
}

if [ -z "$(planned images "$2")" ]; then
  echo "::error::The plan names no image of $registry: there is nothing to verify"
  exit 1
fi
unsigned=0
for image in $(planned coming "$2"); do
  if verify "$image"; then
    echo "- built by deploy-staging.yml on main: \`$image\`" >> "$GITHUB_STEP_SUMMARY"
  else
    echo "::error::$image has no signature of deploy-staging.yml on main (above: what gh says). Actions, \"Deploy to staging\", Run workflow, replace" \
      "builds it again and signs that"
    unsigned=1
  fi
done
exit "$unsigned"
