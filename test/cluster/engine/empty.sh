#!/usr/bin/env bash
# Stops what an earlier run of the tests that was ended left in the test cluster: its pods would take the processors from this run.
# Usage: empty.sh
set -euo pipefail
# shellcheck source=test/cluster/engine/settings.sh
. "$(dirname "$0")/settings.sh"

kubectl delete namespaces --selector kgc.hu/test --wait=false
for space in kgc-demo kgc-staging kgc-production; do
  kubectl delete deployments,statefulsets,jobs,cronjobs --all --wait=false --namespace $space
done
