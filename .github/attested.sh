#!/usr/bin/env bash
# Verifies that the images of a plan that come from this repository were built and signed by its own workflow on main.
# Usage: attested.sh ENVIRONMENT PLAN   (PLAN: what deploy.ts --dry-run --json said)
set -euo pipefail
cd "$(dirname "$0")/.."
registry=$(sed -n 's/^images: *//p' "infra/k8s/overlays/$1/environment.yaml")
mapfile -t images < <(jq --raw-output --arg registry "$registry/" 'select(.event == "plan") | .images[] | select(startswith($registry))' "$2")
if (( ${#images[@]} == 0 )); then
  echo "::error::The plan names no image of $registry: there is nothing to verify"
  exit 1
fi
for image in "${images[@]}"; do
  gh attestation verify "oci://$image" --repo "$GITHUB_REPOSITORY" --source-ref refs/heads/main \
    --signer-workflow "$GITHUB_REPOSITORY/.github/workflows/deploy-staging.yml"
  echo "- attested: \`$image\`" >> "$GITHUB_STEP_SUMMARY"
done
