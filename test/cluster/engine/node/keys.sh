#!/usr/bin/env bash
# The cluster's authorities, certificates and kubeconfigs, made once in this folder.
set -euo pipefail
umask 077
if [ -f made ]; then exit 0; fi

authority() { openssl req -x509 -newkey rsa:2048 -nodes -days 365 -subj "/CN=$1" -keyout "$1.key" -out "$1.crt" 2>/dev/null; }

# certificate NAME SUBJECT AUTHORITY USAGE [subjectAltName]
certificate() {
  openssl req -newkey rsa:2048 -nodes -subj "$2" -keyout "$1.key" -out "$1.csr" 2>/dev/null
  openssl x509 -req -in "$1.csr" -CA "$3.crt" -CAkey "$3.key" -CAcreateserial -days 365 -out "$1.crt" 2>/dev/null \
    -extfile <(echo "extendedKeyUsage=$4"; if [ -n "${5:-}" ]; then echo "subjectAltName=$5"; fi)
  rm "$1.csr"
}

# kubeconfig NAME SUBJECT: a client certificate and the file that uses it
kubeconfig() {
  certificate "$1" "$2" ca clientAuth
  cat > "$1.conf" <<Y
apiVersion: v1
kind: Config
clusters: [{name: kgc-test, cluster: {server: "https://127.0.0.1:6443", certificate-authority-data: $(base64 -w0 ca.crt)}}]
users: [{name: kgc-test, user: {client-certificate-data: $(base64 -w0 "$1.crt"), client-key-data: $(base64 -w0 "$1.key")}}]
contexts: [{name: kgc-test, context: {cluster: kgc-test, user: kgc-test}}]
current-context: kgc-test
Y
}

authority ca
authority front
certificate apiserver /CN=kube-apiserver ca serverAuth \
  "DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:localhost,IP:127.0.0.1,IP:${SERVICES%.*}.1,IP:$NODE_IP"
certificate kubelet-server "/CN=$NODE" ca serverAuth "DNS:$NODE,IP:$NODE_IP"
certificate apiserver-kubelet /O=system:masters/CN=apiserver-kubelet ca clientAuth
certificate front-client /CN=front-proxy-client front clientAuth
kubeconfig admin /O=system:masters/CN=admin
kubeconfig controllers /CN=system:kube-controller-manager
kubeconfig scheduler /CN=system:kube-scheduler
kubeconfig proxy /CN=system:kube-proxy
kubeconfig kubelet "/O=system:nodes/CN=system:node:$NODE"
openssl genrsa -out accounts.key 2048 2>/dev/null
openssl rsa -in accounts.key -pubout -out accounts.pub 2>/dev/null
touch made
