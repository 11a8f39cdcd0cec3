#!/usr/bin/env bash
# Compiles the OpenTelemetry Collector from its modules, once: ~/.cache/kgc-stack/collector-VERSION/collector. Prints that path.
# What is there already costs nothing. Usage: collector.sh
set -euo pipefail
cd "$(dirname "$0")"

# shellcheck source=infra/demo/gobuild/quietly.sh
. ../gobuild/quietly.sh

# modules that promise a stable interface count as v1.x, the others have the collector's own version
version=0.160.0 stable=1.66.0
core=go.opentelemetry.io/collector contrib=github.com/open-telemetry/opentelemetry-collector-contrib
modules=''
for module in "$core"/{component,confmap,confmap/provider/envprovider,confmap/provider/fileprovider,exporter,extension,processor,receiver}; do
  modules+="$module@v$stable "
done
for module in "$core"/{exporter/otlphttpexporter,otelcol,service} \
  "$contrib"/{extension/healthcheckextension,extension/storage/filestorage,processor/transformprocessor,receiver/filelogreceiver}; do
  modules+="$module@v$version "
done

LDFLAGS="-X main.version=$version" ../gobuild/gobuild.sh collector "${modules% }" "$PWD/collector"
echo "$KGC_CACHE/collector-$version/collector"
