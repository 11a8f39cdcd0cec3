#!/usr/bin/env bash
# Builds the demo's images for logs: kgc-demo/collector:demo (compiled, once) and kgc-demo/loki:demo (the stand-in). Usage: logs.sh
set -euo pipefail
cd "$(dirname "$0")"

# shellcheck source=infra/demo/gobuild/quietly.sh
. ../gobuild/quietly.sh

../base/build.sh
../standin/node.sh
collector=$(./collector.sh)
cp collector/Dockerfile "$(dirname "$collector")/"
docker buildx build --quiet --tag kgc-demo/collector:demo "$(dirname "$collector")" >/dev/null

# the grammar and YAML are this repository's own packages
context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT
cp loki/Dockerfile loki/*.mjs "$context/"
for package in @grafana/lezer-logql @lezer/common @lezer/lr yaml; do
  install -d "$context/node_modules/$(dirname "$package")"
  cp -r "../../../node_modules/$package" "$context/node_modules/$package"
done
quietly "$KGC_CACHE/loki-standin.log" docker buildx build --progress plain --tag kgc-demo/loki:demo "$context"
