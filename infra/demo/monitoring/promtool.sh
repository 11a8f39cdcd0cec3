#!/usr/bin/env bash
# Puts promtool of Debian 13's Prometheus on this machine, for the linters and tests: ~/.cache/kgc-stack/promtool-trixie/promtool.
# What is there already costs nothing. Usage: promtool.sh
set -euo pipefail
cd "$(dirname "$0")"

# shellcheck source=infra/demo/gobuild/quietly.sh
. ../gobuild/quietly.sh

cache=$KGC_CACHE/promtool-trixie
if [ -x "$cache/promtool" ]; then exit 0; fi
../base/build.sh
rm -rf "$cache.part"
quietly "$KGC_CACHE/promtool-trixie.log" docker buildx build --progress plain --target promtool --output "type=local,dest=$cache.part" .
mv "$cache.part" "$cache"
