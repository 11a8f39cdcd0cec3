// An environment that no overlay describes: a namespace of the test cluster.
import type { Environment } from '../../../scripts/lib/kubernetes/environment.ts'
import { clusterEnv } from '../cluster.ts'

// the test's own process runs kubectl, too: the cluster's, since a machine may have none
Object.assign(process.env, clusterEnv)

export const environmentIn = (namespace: string): Environment => ({
  name: 'test',
  folder: 'infra/k8s/overlays/test',
  namespace,
  edge: {},
  disposable: true,
  protected: false,
  stableSeconds: 0,
  sealedSecrets: { namespace: 'kube-system', name: 'sealed-secrets-controller' },
})
