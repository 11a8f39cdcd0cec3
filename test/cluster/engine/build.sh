#!/usr/bin/env bash
# Compiles what the test cluster and the tests consist of, once (18 minutes on two busy cores): kept by version under ~/.cache/kgc-stack.
# Usage: build.sh [registry|pebble|versitygw|promtool|operator|node|addons|checks …], default: all but versitygw, promtool and operator
set -euo pipefail
# shellcheck source=test/cluster/engine/settings.sh
. "$(dirname "$0")/settings.sh"
gobuild() { "$root/infra/demo/gobuild/gobuild.sh" "$@"; }
tools=() FILES='' LDFLAGS=''

# The node, where kind cannot be used. Kubernetes comes first: its replace directives hold for all that is built with it.
node() {
  local flags=k8s.io/component-base/version module=github.com/rancher/local-path-provisioner
  tools+=(kube "k8s.io/kubernetes@v$kube" "$engine/kube" kubectl "k8s.io/kubernetes@v$kube" k8s.io/kubernetes/cmd/kubectl)
  tools+=(coredns "github.com/coredns/coredns@v$coredns" "$engine/coredns")
  LDFLAGS+=" -X $flags.gitVersion=v$kube -X $flags.gitMajor=1 -X $flags.gitMinor=$(cut -d. -f2 <<< $kube)"
  tools+=(local-path-provisioner "$module@v$local_path" "$module")
  FILES+=" local-path-provisioner:$module@v$local_path/deploy/local-path-storage.yaml"
  # enforces NetworkPolicies, its one task here
  module=github.com/cloudnativelabs/kube-router/v2
  tools+=(kube-router "$module@v$kube_router" "$module/cmd/kube-router")
}

# What the cluster has, whichever its node.
addons() {
  local module=sigs.k8s.io/metrics-server@v$metrics_server name
  tools+=(metrics-server "$module" "${module%@*}/cmd/metrics-server")
  for name in apiservice deployment rbac service; do FILES+=" metrics-server:$module/manifests/base/$name.yaml"; done
  module=github.com/bitnami-labs/sealed-secrets@v$sealed_secrets
  tools+=(sealed-secrets "$module" "${module%@*}/cmd/controller" kubeseal "$module" "${module%@*}/cmd/kubeseal")
  FILES+=" sealed-secrets:$module/helm/sealed-secrets/crds/bitnami.com_sealedsecrets.yaml"
  LDFLAGS+=" -X main.VERSION=v$sealed_secrets"
}

# What tests check manifests with; kube-score wants types that newer Kubernetes modules have not.
checks() {
  gobuild kubeconform "github.com/yannh/kubeconform@v$kubeconform" github.com/yannh/kubeconform/cmd/kubeconform
  gobuild kube-score "github.com/zegl/kube-score@v$kube_score" github.com/zegl/kube-score/cmd/kube-score
}

registry() {
  local module=github.com/distribution/distribution/v3
  LDFLAGS="-X $module/version.version=v$distribution" gobuild registry "$module@v$distribution" "$engine/registry"
}

# An authority for certificates.
pebble() { gobuild pebble "github.com/letsencrypt/pebble/v2@v$pebble" github.com/letsencrypt/pebble/v2/cmd/pebble; }

# Buckets, with object lock.
versitygw() { gobuild versitygw "github.com/versity/versitygw@v$versitygw" github.com/versity/versitygw/cmd/versitygw; }

# Judges rules as Prometheus 3 does; discovery is no part of that.
promtool() {
  TAGS=remove_all_sd gobuild promtool "github.com/prometheus/prometheus@v$prometheus" github.com/prometheus/prometheus/cmd/promtool
}

# The Prometheus operator, which makes a configuration of ServiceMonitors and the like, what brings that into its pods, and the CRDs of its release.
operator() {
  local module=github.com/prometheus-operator/prometheus-operator@v$prometheus_operator kind files=''
  for kind in podmonitors probes prometheuses prometheusrules servicemonitors; do
    files+=" prometheus-operator:$module/example/prometheus-operator-crd/monitoring.coreos.com_$kind.yaml"
  done
  FILES=$files gobuild prometheus-operator "$module" "${module%@*}/cmd/operator" \
    prometheus-config-reloader "$module" "${module%@*}/cmd/prometheus-config-reloader"
}

if (( $# == 0 )); then set -- registry pebble node addons checks; fi
for part; do "$part"; done
# the tests that take longest wait for this
if (( ${#tools[@]} )); then CPU_SHARES=1024 FILES=$FILES LDFLAGS=$LDFLAGS gobuild "${tools[@]}"; fi
