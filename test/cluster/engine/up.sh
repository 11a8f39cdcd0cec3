#!/usr/bin/env bash
# Starts the test cluster, or mends it after a crash; prints how to use it. What it consists of is compiled the first time (18 minutes on two busy cores).
# Usage: up.sh; KGC_TEST_NODE=built does without kind
# Exit codes: 0 it runs, 3 Docker is missing, 6 a build failed, 7 not ready in time
set -euo pipefail
# shellcheck source=test/cluster/engine/settings.sh
. "$(dirname "$0")/settings.sh"

if ! docker info >/dev/null 2>&1; then
  fail 3 'Start the test cluster' 'Docker does not answer: it must run, and you must be root or in the group docker' 'make bootstrap'
fi
mkdir -p "$state/bin"
chmod 700 "$state"
exec 9> "$state/lock"
flock 9

available() { kubectl wait --for condition=Available deployments --all --namespace kube-system --timeout 1s; }

# What make cluster-up leaves on standard output
tell() {
  echo "export PATH=$state/bin:\$PATH"
  echo "export KGC_TEST_KUBECONFIG=$kubeconfig"
}

if [ -f "$state/whole" ] && running && available >/dev/null 2>&1; then
  echo '✔ The test cluster runs already' >&2
  tell
  exit 0
fi

"$root/infra/demo/base/build.sh"
# shellcheck source=test/cluster/engine/kind.sh
. "$engine/kind.sh"
# a node that is there stays of its kind
made=$(docker container inspect --format '{{.Config.Image}}' "$node" 2>/dev/null || true)
if [ "$made" = "$node_image" ] || { [ -z "$made" ] && ! kind_usable; }; then
  # shellcheck source=test/cluster/engine/built.sh
  . "$engine/built.sh"
fi

node() {
  if [ -z "$made" ]; then create; fi
  docker start "$node" >/dev/null
  if docker container inspect "$cluster-registry" >/dev/null 2>&1; then docker start "$cluster-registry" >/dev/null; fi
  umask 077
  credentials
  await 90 'the API' kubectl get --raw /readyz
  await 30 'the registry' curl --silent --fail --max-time 2 "http://$registry/v2/"
}

ready() {
  await 120 'the node to be Ready' kubectl wait --for condition=Ready node --all --timeout 1s
  await 180 'the add-ons (kubectl get pods -A)' available
}

rm -f "$state/whole"
step 'Start the node' node
step 'Push and apply the add-ons' "$engine/addons.sh" "${addons[@]}"
step 'Wait until the cluster is ready' ready
"$engine/build.sh" checks
ln -sf "$KGC_CACHE"/{kubeseal-$sealed_secrets/kubeseal,kubeconform-$kubeconform/kubeconform,kube-score-$kube_score/kube-score} "$state/bin/"
touch "$state/whole"
echo "✔ The test cluster is ready ($SECONDS s)" >&2
tell
