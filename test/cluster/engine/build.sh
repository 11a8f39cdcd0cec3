#!/usr/bin/env bash
# Compiles what the test cluster consists of, once (about 20 minutes on two cores): kept by version under ~/.cache/kgc-stack.
# Usage: build.sh [node|addons|checks …], default: all
set -euo pipefail
# shellcheck source=test/cluster/engine/settings.sh
. "$(dirname "$0")/settings.sh"
gobuild() { "$root/infra/demo/gobuild/gobuild.sh" "$@"; }

# The node, where kind cannot be used.
node() {
  local module flags=k8s.io/component-base/version
  LDFLAGS="-X $flags.gitVersion=v$kube -X $flags.gitMajor=1 -X $flags.gitMinor=$(cut -d. -f2 <<< $kube)" \
    gobuild kube k8s.io/kubernetes@v$kube "$engine/kube"
  gobuild coredns github.com/coredns/coredns@v$coredns github.com/coredns/coredns
  module=github.com/rancher/local-path-provisioner
  FILES=deploy/local-path-storage.yaml gobuild local-path-provisioner $module@v$local_path $module
  # enforces NetworkPolicies, its one task here
  module=github.com/cloudnativelabs/kube-router/v2
  gobuild kube-router $module@v$kube_router $module/cmd/kube-router
}

# What the cluster has, whichever its node.
addons() {
  local base=manifests/base module
  module=github.com/distribution/distribution/v3
  LDFLAGS="-X $module/version.version=v$distribution" gobuild registry $module@v$distribution $module/cmd/registry
  module=github.com/bitnami-labs/sealed-secrets
  FILES="$base/apiservice.yaml $base/deployment.yaml $base/rbac.yaml $base/service.yaml" \
    gobuild metrics-server sigs.k8s.io/metrics-server@v$metrics_server sigs.k8s.io/metrics-server/cmd/metrics-server
  FILES=helm/sealed-secrets/crds/bitnami.com_sealedsecrets.yaml LDFLAGS="-X main.VERSION=v$sealed_secrets" \
    gobuild sealed-secrets $module@v$sealed_secrets $module/cmd/controller kubeseal $module@v$sealed_secrets $module/cmd/kubeseal
}

# What the tests check manifests with.
checks() {
  gobuild kubeconform github.com/yannh/kubeconform@v$kubeconform github.com/yannh/kubeconform/cmd/kubeconform
  gobuild kube-score github.com/zegl/kube-score@v$kube_score github.com/zegl/kube-score/cmd/kube-score
}

if (( $# == 0 )); then set -- node addons checks; fi
for part; do "$part"; done
