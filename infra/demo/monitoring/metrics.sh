#!/usr/bin/env bash
# Builds the demo's images of Prometheus, Alertmanager and the exporters from Debian's packages; what is built already costs seconds.
# Usage: metrics.sh
set -euo pipefail
cd "$(dirname "$0")"

# shellcheck source=infra/demo/gobuild/quietly.sh
. ../gobuild/quietly.sh

../base/build.sh
for image in prometheus alertmanager node-exporter postgres-exporter redis-exporter blackbox-exporter; do
  quietly "$KGC_CACHE/metrics-images.log" docker buildx build --progress plain --target "$image" --tag "kgc-demo/$image:demo" .
done
