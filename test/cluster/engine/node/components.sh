# The components' settings and options; sourced by entrypoint.sh, which stands in the folder of the keys.
# shellcheck shell=bash disable=SC2034,SC2054

# a test's data need not outlive a power cut
etcd=(--data-dir /var/lib/etcd --unsafe-no-fsync --log-level warn)

# restrict_oom_score_adj: without CAP_SYS_RESOURCE no process may be made less likely to be killed, and no pod would start
cat > containerd.toml <<T
version = 2
[plugins."io.containerd.grpc.v1.cri"]
  restrict_oom_score_adj = true
  sandbox_image = "127.0.0.1:$REGISTRY_PORT/kgc-test/pause:1"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "/etc/cni/net.d"
T

mkdir -p /etc/cni/net.d
cat > /etc/cni/net.d/10-pods.conflist <<J
{"cniVersion": "1.0.0", "name": "pods", "plugins": [
  {"type": "bridge", "bridge": "pods0", "isGateway": true, "ipMasq": true, "hairpinMode": true,
   "ipam": {"type": "host-local", "dataDir": "/run/cni", "ranges": [[{"subnet": "$PODS", "gateway": "$NODE_IP"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
J

apiserver=(
  --etcd-servers http://127.0.0.1:2379 --secure-port 6443 --advertise-address "$NODE_IP" --service-cluster-ip-range "$SERVICES"
  --authorization-mode Node,RBAC --enable-admission-plugins NodeRestriction --allow-privileged --enable-aggregator-routing
  --client-ca-file ca.crt --tls-cert-file apiserver.crt --tls-private-key-file apiserver.key
  --kubelet-client-certificate apiserver-kubelet.crt --kubelet-client-key apiserver-kubelet.key --kubelet-certificate-authority ca.crt
  # nothing resolves the node's name
  --kubelet-preferred-address-types InternalIP
  --service-account-issuer https://kubernetes.default.svc --service-account-key-file accounts.pub --service-account-signing-key-file accounts.key
  --requestheader-client-ca-file front.crt --requestheader-allowed-names front-proxy-client --requestheader-username-headers X-Remote-User
  --requestheader-group-headers X-Remote-Group --requestheader-extra-headers-prefix X-Remote-Extra-
  --proxy-client-cert-file front-client.crt --proxy-client-key-file front-client.key
)

controllers=(
  --kubeconfig controllers.conf --authentication-kubeconfig controllers.conf --authorization-kubeconfig controllers.conf --leader-elect=false
  --use-service-account-credentials --service-account-private-key-file accounts.key --root-ca-file ca.crt
  --cluster-signing-cert-file ca.crt --cluster-signing-key-file ca.key
  # a test need not wait five minutes for replicas to be taken back, nor until a new pod's CPU counts
  --horizontal-pod-autoscaler-sync-period 5s --horizontal-pod-autoscaler-downscale-stabilization 30s --horizontal-pod-autoscaler-cpu-initialization-period 15s
)
scheduler=(--kubeconfig scheduler.conf --authentication-kubeconfig scheduler.conf --authorization-kubeconfig scheduler.conf --leader-elect=false)

cat > kubelet.yaml <<Y
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {x509: {clientCAFile: ca.crt}, webhook: {enabled: true}, anonymous: {enabled: false}}
authorization: {mode: Webhook}
clusterDNS: [$DNS_IP]
clusterDomain: cluster.local
cgroupDriver: cgroupfs
failCgroupV1: false
failSwapOn: false
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
tlsCertFile: kubelet-server.crt
tlsPrivateKeyFile: kubelet-server.key
serializeImagePulls: false
# a full disk of the machine is not the test's matter
imageGCHighThresholdPercent: 100
evictionHard: {memory.available: 100Mi, nodefs.available: 1Gi, imagefs.available: 1Gi}
Y
kubelet=(--config kubelet.yaml --kubeconfig kubelet.conf --hostname-override "$NODE" --node-ip "$NODE_IP")

proxy=(--kubeconfig proxy.conf --hostname-override "$NODE" --proxy-mode iptables --cluster-cidr "$PODS" --conntrack-max-per-core 0)

# kube-proxy does the Services and the bridge the routes
router=(
  --kubeconfig admin.conf --hostname-override "$NODE" --run-firewall --run-router=false --run-service-proxy=false
  --service-cluster-ip-range "$SERVICES" --service-node-port-range 30000-32767 --metrics-port 0 --health-port 0
)
