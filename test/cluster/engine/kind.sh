# kind's node, where its image can be had; sourced by up.sh.
# shellcheck shell=bash disable=SC2034,SC2154

# The image answers within 10 seconds, and the machine can run a privileged container.
kind_usable() {
  [ "${KGC_TEST_NODE:-kind}" = kind ] && timeout 10 docker manifest inspect "$kind_image" >/dev/null 2>&1 &&
    docker run --rm --privileged --entrypoint true kgc-demo/base:trixie >/dev/null 2>&1
}

create() {
  PATH=$PATH:$KGC_CACHE/kind-$kind
  command -v kind >/dev/null || "$root/infra/demo/gobuild/gobuild.sh" kind "sigs.k8s.io/kind@v$kind" sigs.k8s.io/kind
  "$engine/build.sh" registry addons
  kind create cluster --name "$cluster" --image "$kind_image" --kubeconfig "$kubeconfig" --wait 0s --config - >&2 <<Y
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
kubeadmConfigPatches:
  - |
    kind: ClusterConfiguration
    controllerManager:
      extraArgs:
        - {name: horizontal-pod-autoscaler-downscale-stabilization, value: 30s}
        - {name: horizontal-pod-autoscaler-cpu-initialization-period, value: 15s}
networking: {apiServerAddress: 127.0.0.1, apiServerPort: $port_api, podSubnet: $pods, serviceSubnet: $services}
nodes:
  - role: control-plane
    extraPortMappings:
      - {listenAddress: 127.0.0.1, hostPort: $port_http, containerPort: 30080}
      - {listenAddress: 127.0.0.1, hostPort: $port_https, containerPort: 30443}
Y
  # the registry beside the node; the node finds it by a mirror, under the address that it has on the machine
  printf 'FROM scratch\nCOPY registry /registry\nENTRYPOINT ["/registry", "serve", "/etc/registry.yml"]\n' |
    docker buildx build --quiet --tag kgc-test/registry:1 --file - "$KGC_CACHE/registry-$distribution" >/dev/null
  docker create --name "$cluster-registry" --network kind --volume "$registry_volume:/var/lib/registry" \
    --publish "127.0.0.1:$port_registry:$port_registry" kgc-test/registry:1 >/dev/null
  docker cp "$engine/node/registry.yml" "$cluster-registry:/etc/registry.yml"
  docker start "$cluster-registry" >/dev/null
  local mirror=/etc/containerd/certs.d/$registry
  docker exec -i "$node" sh -c "mkdir -p $mirror && cat > $mirror/hosts.toml" <<< "[host.\"http://$cluster-registry:$port_registry\"]"
}

credentials() { docker cp --follow-link "$node:/usr/bin/kubectl" "$state/bin/kubectl"; }

addons=(metrics-server sealed-secrets)
