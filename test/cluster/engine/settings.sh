# The test cluster's names, ports and versions, sourced by the scripts here. The registry's address and the address of DNS stand in addons/ as well.
# shellcheck shell=bash disable=SC2034
cluster=kgc-test
node=$cluster-control-plane        # the node is one container, under the name that kind gives it
node_image=kgc-test/node:built
node_volume=$cluster-node          # all that the node keeps
registry_volume=$cluster-registry  # pushed images; outlives cluster-down, like the caches
pods=10.71.0.0/24                  # Docker takes 172.17-31 and 192.168, other clusters mostly 10.244, 10.96, 10.42, 10.43
services=10.72.0.0/16
dns_ip=10.72.0.10
node_ip=10.71.0.1                  # the pods' bridge: it stays when Docker gives the container another address
port_api=16443                     # these four on 127.0.0.1
port_registry=5001
port_http=18080                    # NodePort 30080
port_https=18443                   # NodePort 30443
registry=127.0.0.1:$port_registry  # the same address from the machine and from the node

kube=1.36.3 coredns=1.12.4 local_path=0.0.30 kube_router=2.1.0
metrics_server=0.9.0 sealed_secrets=0.27.1 distribution=3.1.2 kubeconform=0.8.0 kube_score=1.20.0 pebble=2.10.1 versitygw=1.8.0
# Prometheus 3.16, whose module counts otherwise
prometheus=0.316.0
# the newest whose module of clients the proxy has, too
prometheus_operator=0.93.1
# this release of kind names this image as its own
kind=0.32.0 kind_image=kindest/node:v1.36.1@sha256:3489c7674813ba5d8b1a9977baea8a6e553784dab7b84759d1014dbd78f7ebd5

engine=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$engine/../../.." && pwd)
state=${XDG_STATE_HOME:-$HOME/.local/state}/kgc-test-cluster
kubeconfig=$state/kubeconfig
# shellcheck source=infra/demo/gobuild/quietly.sh
. "$root/infra/demo/gobuild/quietly.sh"

kubectl() { "$state/bin/kubectl" --kubeconfig "$kubeconfig" "$@"; }

# fail CODE WHAT WHY NEXT
fail() {
  printf '\n✘ %s\n  why: %s\n  next: %s\n' "$2" "$3" "$4" >&2
  exit "$1"
}

# A component that ends is started again, and says so in the container's log; the one that says so last is to blame
evidence() {
  local name
  docker logs --tail 8 "$node" >&2 || true
  name=$(docker logs --tail 20 "$node" 2>&1 | sed -n 's/^\([a-z-]*\) ended with .*/\1/p' | tail -n 1)
  if [ -n "$name" ]; then docker exec "$node" tail -n 15 "/var/log/node/$name.log" >&2 || true; fi
}

running() { [ "$(docker container inspect --format '{{.State.Running}}' "$node" 2>/dev/null)" = true ]; }

# await SECONDS WHAT COMMAND…: until it succeeds
await() {
  local limit=$1 what=$2 start=$SECONDS beat=10 seen
  shift 2
  until seen=$("$@" 2>&1); do
    if ! running; then
      evidence
      fail 6 "Wait for $what" 'the node has ended; its last words are above' 'make cluster-down cluster-up, which starts from nothing'
    fi
    if (( SECONDS - start >= limit )); then
      evidence
      fail 7 "Wait for $what" "not there after $limit s: ${seen##*$'\n'}" "make cluster-down cluster-up, which starts from nothing"
    fi
    if (( SECONDS - start >= beat )); then say "… $((SECONDS - start)) s: waiting for $what"; beat=$((beat + 10)); fi
    sleep 0.5
  done
}

# step WHAT COMMAND…
step() {
  local what=$1 start=$SECONDS
  shift
  echo "▶ $what" >&2
  "$@"
  echo "✔ $what ($((SECONDS - start)) s)" >&2
}
