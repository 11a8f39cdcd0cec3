// An environment that no overlay describes: a namespace of the test cluster.
import type { Environment } from '../../../scripts/lib/kubernetes/environment.ts'

process.env.KUBECONFIG = process.env.KGC_TEST_KUBECONFIG

export const environmentIn = (namespace: string): Environment => ({
  name: 'test',
  folder: 'infra/k8s/overlays/test',
  namespace,
  edge: {},
  disposable: true,
  protected: false,
  stable: 0,
  sealedSecrets: { namespace: 'kube-system', name: 'sealed-secrets-controller' },
})
