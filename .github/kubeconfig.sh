#!/usr/bin/env bash
# Writes the environment's kubeconfig (CONTENT) where nobody else can read it: $RUNNER_TEMP/kubeconfig.
set -euo pipefail
if [ -z "${CONTENT:-}" ]; then
  echo '::error::The environment has no secret KUBECONFIG. infra/k8s/README.md says how to make one: gh secret set KUBECONFIG --env <environment> < FILE'
  exit 2
fi
umask 077
printf '%s\n' "$CONTENT" > "$RUNNER_TEMP/kubeconfig"
