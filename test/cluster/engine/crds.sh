#!/usr/bin/env bash
# Has the CRDs of the Prometheus operator, out of its Go module: ~/.cache/kgc-stack/prometheus-operator-VERSION/crds.yaml. What is there already costs nothing.
set -euo pipefail
# shellcheck source=test/cluster/engine/settings.sh
. "$(dirname "$0")/settings.sh"
gobuild=$root/infra/demo/gobuild
target=$KGC_CACHE/prometheus-operator-$prometheus_operator
if [ -s "$target/crds.yaml" ]; then exit 0; fi

container=kgc-crds-$$
trap 'docker rm --force "$container" >/dev/null 2>&1 || true' EXIT
"$root/infra/demo/base/build.sh"
docker buildx build --quiet --tag kgc-build/go:trixie --file "$gobuild/build.Dockerfile" "$gobuild" >/dev/null
module=github.com/prometheus-operator/prometheus-operator@v$prometheus_operator
# SC2016: the container's shell expands it
# shellcheck disable=SC2016
docker create --name "$container" --volume kgc-go-cache:/root kgc-build/go:trixie sh -euc '
  if [ -s /ca.crt ]; then export SSL_CERT_FILE=/ca.crt; fi
  cd / && go mod download "$1" && cd "$(go env GOMODCACHE)/$1/example/prometheus-operator-crd" && shift
  for kind; do cat "monitoring.coreos.com_$kind.yaml"; done' sh "$module" podmonitors probes prometheusrules servicemonitors >/dev/null
if [ -f /etc/ssl/certs/ca-certificates.crt ]; then docker cp /etc/ssl/certs/ca-certificates.crt "$container:/ca.crt" >/dev/null; fi
mkdir -p "$target"
docker start --attach "$container" > "$target/crds.part"
mv "$target/crds.part" "$target/crds.yaml"
