#!/usr/bin/env bash
# Verifies that images were built and signed by this repository's own workflow, on main.
# Usage: attested.sh IMAGE@DIGEST
#        attested.sh --plan FILE ENVIRONMENT   those of the environment's registry that `deploy.ts --dry-run --json` names
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
images=$(grep '"event":"plan"' "$2" | grep -oE "\"${registry//./\\.}/[^\"@]+@sha256:[0-9a-f]{64}\"" | tr -d '"' || true)
if [ -z "$images" ]; then
  echo "::error::The plan names no image of $registry: there is nothing to verify"
  exit 1
fi
for image in $images; do
  verify "$image"
  echo "- built by deploy-staging.yml on main: \`$image\`" >> "$GITHUB_STEP_SUMMARY"
done
