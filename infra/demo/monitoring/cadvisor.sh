#!/usr/bin/env bash
# Builds the demo's image kgc-demo/cadvisor:demo; its program is compiled from cAdvisor's modules, once. Usage: cadvisor.sh
set -euo pipefail
cd "$(dirname "$0")"

# shellcheck source=infra/demo/gobuild/quietly.sh
. ../gobuild/quietly.sh

version=0.60.6 module=github.com/google/cadvisor
../base/build.sh
../gobuild/gobuild.sh cadvisor "$module/lib@v$version $module@v$version" "$PWD/cadvisor"
cp cadvisor/Dockerfile "$KGC_CACHE/cadvisor-$version/"
quietly "$KGC_CACHE/cadvisor-image.log" docker buildx build --progress plain --tag kgc-demo/cadvisor:demo "$KGC_CACHE/cadvisor-$version"
