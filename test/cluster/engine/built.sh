# The built node: Kubernetes compiled from its modules, in a container of our own image; sourced by up.sh.
# shellcheck shell=bash disable=SC2034,SC2154

create() {
  local context=$KGC_CACHE/node-$kube
  "$engine/build.sh" registry node addons
  mkdir -p "$context"
  cp -f "$engine"/node/{*.sh,registry.yml} "$context/"
  # linked, not copied: together they are 300 MB
  ln -f "$KGC_CACHE"/{"kube-$kube/kube","kube-router-$kube_router/kube-router","registry-$distribution/registry"} "$context/"
  quietly "$KGC_CACHE/node.log" docker buildx build --progress plain --file "$engine/node/Dockerfile" --tag "$node_image" "$context"
  local modules=()
  if [ -d /lib/modules ]; then modules=(--volume /lib/modules:/lib/modules:ro); fi
  # `--privileged` fails on a machine that lacks a capability. The node must never have SYS_RESOURCE (bit 24), so that it is the same
  # everywhere (components.sh). Engines from 23 on take ALL as what the machine has, and refuse to drop what it has not; older ones take
  # ALL as every capability, and the start fails on one that the machine has not.
  local drop=() version; version=$(docker version --format '{{.Server.Version}}')
  if (( ${version%%.*} < 23 || 0x$(awk '/^CapBnd/ { print $2 }' /proc/self/status) >> 24 & 1 )); then drop=(--cap-drop SYS_RESOURCE); fi
  docker run --detach --name "$node" --hostname "$node" --cap-add ALL "${drop[@]}" --cgroupns private \
    --security-opt seccomp=unconfined --security-opt apparmor=unconfined --security-opt systempaths=unconfined --security-opt label=disable \
    --device /dev/kmsg --device-cgroup-rule 'a *:* rwm' --tmpfs /run:exec --tmpfs /tmp:exec \
    --volume "$node_volume:/var" --volume "$registry_volume:/var/lib/registry" "${modules[@]}" \
    --env NODE="$node" --env NODE_IP="$node_ip" --env PODS="$pods" --env SERVICES="$services" --env DNS_IP="$dns_ip" --env REGISTRY_PORT="$port_registry" \
    --publish "127.0.0.1:$port_api:6443" --publish "127.0.0.1:$port_registry:$port_registry" \
    --publish "127.0.0.1:$port_http:30080" --publish "127.0.0.1:$port_https:30443" "$node_image" >/dev/null ||
    { docker rm --force --volumes "$node" >/dev/null 2>&1; fail 3 'Start the node' 'Docker says why above' 'remove that cause (a taken port: free it), then make cluster-up'; }
}

credentials() {
  await 60 'the node to make its keys' docker exec "$node" test -f /var/lib/kubernetes/made
  docker exec "$node" cat /var/lib/kubernetes/admin.conf | sed "s#127.0.0.1:6443#127.0.0.1:$port_api#" > "$kubeconfig"
  # one of its own: with all of Kubernetes in it each call takes twice the processor time (0.15 s, not 0.08)
  ln -sf "$KGC_CACHE/kubectl-$kube/kubectl" "$state/bin/kubectl"
}

addons=(built metrics-server sealed-secrets)
