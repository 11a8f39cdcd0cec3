#!/usr/bin/env bash
# Builds the demo's images of monitoring; what is built already costs seconds. Usage: build.sh
set -euo pipefail
cd "$(dirname "$0")"

echo '▶ Build the demo images of monitoring' >&2
start=$SECONDS
./metrics.sh
./logs.sh
./cadvisor.sh
echo "✔ Build the demo images of monitoring ($((SECONDS - start)) s)" >&2
echo '  Grafana is left out and Loki is played by a stand-in: both are AGPL, so their images are pulled where a registry is, and never built' >&2
