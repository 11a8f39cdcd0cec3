#!/usr/bin/env bash
# Process 1 of the node: prepares the container as a machine, starts the components in their order, and starts again what ends.
# NODE, NODE_IP, PODS, SERVICES, DNS_IP and REGISTRY_PORT come from up.sh.
set -euo pipefail
here=$(dirname "$0") keys=/var/lib/kubernetes logs=/var/log/node
mkdir -p $keys $logs
cd $keys
export KUBECONFIG=$keys/admin.conf

# Docker mounts these read-only unless the container is privileged; that it cannot be where the machine itself lacks a capability
writable() {
  mount --make-rshared /
  mount -o remount,bind,rw /sys
  awk '$3 ~ /^cgroup/ { print $2 }' /proc/mounts | while read -r mount; do mount -o remount,bind,rw "$mount"; done
  # cgroup v2 lets only a group without processes have sub-groups with controllers
  if [ -f /sys/fs/cgroup/cgroup.controllers ]; then
    mkdir -p /sys/fs/cgroup/init
    xargs -rn1 < /sys/fs/cgroup/cgroup.procs > /sys/fs/cgroup/init/cgroup.procs || true
    sed 's/\(^\| \)/ +/g' /sys/fs/cgroup/cgroup.controllers > /sys/fs/cgroup/cgroup.subtree_control
  fi
}

network() {
  sysctl -qw net.ipv4.ip_forward=1
  # without it neither Services nor policies see what goes from pod to pod
  modprobe --quiet br_netfilter || true
  sysctl -qw net.bridge.bridge-nf-call-iptables=1 || echo "network: the kernel has no br_netfilter" >&2
  ip link show pods0 >/dev/null 2>&1 || ip link add pods0 type bridge
  ip address replace "$NODE_IP/${PODS#*/}" dev pods0
  ip link set pods0 up
}

# keep NAME COMMAND…: runs it with a log of its own, for ever
keep() {
  local name=$1
  shift
  while true; do
    echo "$(date +%T) starting $name" >> "$logs/$name.log"
    "$@" >> "$logs/$name.log" 2>&1 || echo "$name ended with $?: $(tail -n 1 "$logs/$name.log" | cut -c1-300)" >&2
    sleep 1
  done &
}

pods() { cat /sys/fs/cgroup{,/pids}/kubepods{,/*,/*/*,/*/*/*}/cgroup.procs 2>/dev/null || true; }

# As a machine that is shut down: the applications are asked to end first, Docker kills what is left
stop() {
  pkill kubelet || true
  # shellcheck disable=SC2046 # a list of numbers
  kill $(pods) 2>/dev/null || true
  for _ in {1..40}; do [ -n "$(pods)" ] || break; sleep 0.2; done
  exit 0
}
trap stop TERM INT

# after a restart nothing that these say is true any more
rm -rf /run/containerd
writable
network
"$here/keys.sh"
# shellcheck source=test/cluster/engine/node/components.sh
. "$here/components.sh"

keep etcd etcd "${etcd[@]}"
OTEL_TRACES_EXPORTER=none keep registry registry serve "$here/registry.yml"
keep containerd containerd --config containerd.toml
keep kube-apiserver kube-apiserver "${apiserver[@]}"
# the controllers die once when the apiserver is ready but has not made its own roles yet
until kubectl get clusterrolebinding system:kube-controller-manager system:node-proxier >/dev/null 2>&1; do sleep 0.5; done
keep kube-controller-manager kube-controller-manager "${controllers[@]}"
keep kube-scheduler kube-scheduler "${scheduler[@]}"
keep kubelet kubelet "${kubelet[@]}"
keep kube-proxy kube-proxy "${proxy[@]}"
# it gives up on a node that is not registered yet
until kubectl get node "$NODE" >/dev/null 2>&1; do sleep 0.5; done
keep kube-router kube-router "${router[@]}"
wait
