#!/usr/bin/env bash
# Prints a kubeconfig for an account of an environment: its deployer, for the secret KUBECONFIG of GitHub's environment, or `backup`, for the machine that
# takes its backups. Run it as the cluster's administrator. Its token does not expire: `kubectl delete secret <account>-token -n <namespace>` ends it.
# Usage: kubeconfig.sh ENVIRONMENT [ACCOUNT] > FILE
set -euo pipefail
if [ $# -lt 1 ] || [ $# -gt 2 ]; then sed -n '4s/^# //p' "$0" >&2; exit 2; fi
namespace=kgc-$1 account=${2:-deployer}

kubectl get serviceaccount "$account" --namespace "$namespace" --output name >&2
kubectl apply --filename - >&2 <<Y
apiVersion: v1
kind: Secret
metadata: { name: $account-token, namespace: $namespace, annotations: { kubernetes.io/service-account.name: $account } }
type: kubernetes.io/service-account-token
Y
field() { kubectl get secret "$account-token" --namespace "$namespace" --output "go-template={{ index .data \"$1\" $2}}"; }
# the cluster fills it in
for _ in {1..50}; do
  token=$(field token '| base64decode ' 2>/dev/null || true)
  if [ "${token#ey}" != "$token" ]; then break; fi
  sleep 0.2
done
if [ "${token#ey}" = "$token" ]; then echo "kubeconfig.sh: the cluster has given $account-token no token within 10 s" >&2; exit 7; fi
server=$(kubectl config view --minify --output 'jsonpath={.clusters[0].cluster.server}')
cat <<Y
apiVersion: v1
kind: Config
current-context: $namespace
contexts: [{ name: $namespace, context: { cluster: cluster, user: $account, namespace: $namespace } }]
clusters: [{ name: cluster, cluster: { server: "$server", certificate-authority-data: $(field ca.crt '') } }]
users: [{ name: $account, user: { token: $token } }]
Y
