// The versions of Kubernetes that the manifests and the deploy need.

/** The lowest version of the cluster and of kubectl: the manifests use `preStop.sleep`. */
export const minimumKubernetesVersion = '1.30'
