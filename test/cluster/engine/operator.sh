#!/usr/bin/env bash
# Has the Prometheus operator on this machine, out of its Go module, and in the test cluster's registry what brings its configuration into a pod.
set -euo pipefail
# shellcheck source=test/cluster/engine/settings.sh
. "$(dirname "$0")/settings.sh"
"$engine/build.sh" operator
name='prometheus-config-reloader'
printf 'FROM scratch\nCOPY %s /bin/\nENTRYPOINT ["/bin/%s"]' $name $name |
  docker buildx build --quiet --tag "kgc-test/$name:1" --file - "$KGC_CACHE/$name-$prometheus_operator" >/dev/null
"$engine/push.sh" "kgc-test/$name:1"
