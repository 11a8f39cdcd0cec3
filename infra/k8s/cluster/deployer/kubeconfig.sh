#!/usr/bin/env bash
# Prints a kubeconfig for the deployer of an environment, for the secret KUBECONFIG of GitHub's environment. Run it as the cluster's administrator.
# Its token does not expire: `kubectl delete secret deployer-token -n <namespace>` ends it.
# Usage: kubeconfig.sh ENVIRONMENT > FILE
set -euo pipefail
if [ $# -ne 1 ]; then sed -n '4s/^# //p' "$0" >&2; exit 2; fi
namespace=kgc-$1

kubectl get serviceaccount deployer --namespace "$namespace" --output name >&2
kubectl apply --filename - >&2 <<Y
apiVersion: v1
kind: Secret
metadata: { name: deployer-token, namespace: $namespace, annotations: { kubernetes.io/service-account.name: deployer } }
type: kubernetes.io/service-account-token
Y
field() { kubectl get secret deployer-token --namespace "$namespace" --output "go-template={{ index .data \"$1\" $2}}"; }
# the cluster fills it in
for _ in {1..50}; do
  token=$(field token '| base64decode ' 2>/dev/null || true)
  if [ "${token#ey}" != "$token" ]; then break; fi
  sleep 0.2
done
if [ "${token#ey}" = "$token" ]; then echo "kubeconfig.sh: the cluster has given deployer-token no token within 10 s" >&2; exit 7; fi
server=$(kubectl config view --minify --output 'jsonpath={.clusters[0].cluster.server}')
cat <<Y
apiVersion: v1
kind: Config
current-context: $namespace
contexts: [{ name: $namespace, context: { cluster: cluster, user: deployer, namespace: $namespace } }]
clusters: [{ name: cluster, cluster: { server: "$server", certificate-authority-data: $(field ca.crt '') } }]
users: [{ name: deployer, user: { token: $token } }]
Y
