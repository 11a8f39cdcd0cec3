#!/usr/bin/env bash
# Pushes images of this machine's Docker to the test cluster's registry: kgc-demo/x:demo becomes 127.0.0.1:5001/kgc-demo/x:demo.
# Usage: push.sh [IMAGE …], default: every kgc-demo image that is here and that something runs
set -euo pipefail
# shellcheck source=test/cluster/engine/settings.sh
. "$(dirname "$0")/settings.sh"

if (( $# == 0 )); then
  mapfile -t images < <(docker image ls --filter 'reference=kgc-demo/*' --format '{{.Repository}}:{{.Tag}}' | grep -vE '/(base|node|esbuild|pg-grammar):')
  set -- "${images[@]}"
fi
for image; do
  docker tag "$image" "$registry/$image"
  docker push --quiet "$registry/$image" >/dev/null
  docker image rm --no-prune "$registry/$image" >/dev/null
  say "pushed $registry/$image"
done
