#!/usr/bin/env bash
# Removes the test cluster with its data. The registry's images stay for the next one, like the compiled tools. Usage: down.sh [--purge], which takes them too
set -euo pipefail
# shellcheck source=test/cluster/engine/settings.sh
. "$(dirname "$0")/settings.sh"

remove() {
  local beside
  beside=$(docker ps --all --quiet --filter "name=^$cluster-registry\$")
  docker rm --force --volumes "$node" "$cluster-registry" >/dev/null 2>&1 || true
  # kind's network, unless another cluster of kind's is on it
  if [ -n "$beside" ]; then docker network rm kind >/dev/null 2>&1 || true; fi
  docker volume rm --force "$node_volume" >/dev/null
  if [ "${1:-}" = --purge ]; then docker volume rm --force "$registry_volume" >/dev/null; fi
  rm -rf "$state"
}

step 'Remove the test cluster' remove "$@"
