#!/usr/bin/env bash
# Gives the running node what a cluster of KGC's needs. Usage: addons.sh [built] metrics-server sealed-secrets
set -euo pipefail
# shellcheck source=test/cluster/engine/settings.sh
. "$(dirname "$0")/settings.sh"

# image NAME VERSION: the compiled command and nothing else
image() {
  printf 'FROM scratch\nCOPY %s /usr/local/bin/\n' "$1" | docker buildx build --quiet --tag "kgc-test/$1:1" --file - "$KGC_CACHE/$1-$2" >/dev/null
}

# A pod's first process ends when it is told to, which `sleep` as process 1 does not.
pause() {
  docker buildx build --quiet --tag kgc-test/pause:1 - >/dev/null <<'D'
FROM kgc-demo/base:trixie
USER 65535
CMD ["sh", "-c", "trap 'exit 0' TERM; sleep infinity & wait"]
D
}

files() { cp "$KGC_CACHE/$1/files/"* "$state/addons/$2/"; }

rm -rf "$state/addons"
cp -r "$engine/addons" "$state/"
files "local-path-provisioner-$local_path" built
files "metrics-server-$metrics_server" metrics-server
files "sealed-secrets-$sealed_secrets" sealed-secrets
pause
image metrics-server $metrics_server
image sealed-secrets $sealed_secrets
images=(kgc-test/pause:1 kgc-test/metrics-server:1 kgc-test/sealed-secrets:1)
if [ "$1" = built ]; then
  image coredns $coredns
  image local-path-provisioner $local_path
  images+=(kgc-test/coredns:1 kgc-test/local-path-provisioner:1)
fi
"$engine/push.sh" "${images[@]}"
for addon; do kubectl apply --kustomize "$state/addons/$addon" >/dev/null; done
