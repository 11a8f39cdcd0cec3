// The demo overlay in the namespace of staging (Traefik reads no others) under a domain of its own,
// beside whatever is in the demo's.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { sandbox } from '../../sandbox.ts'
import { apply, get, kubectl, stopAtExit, writeKubeconfig } from '../cluster.ts'

export const box = sandbox()
export const overlays = join(box.root, 'infra/k8s/overlays')
export const domain = 'whole.localhost'
const space = 'kgc-staging'
export const here = ['--namespace', space]
let mine = false

/** Everything that the overlay, and a deploy of it, makes; nothing, if it was somebody else's. */
export function clear(): void {
  if (!mine) return
  const kinds =
    'deployments,statefulsets,jobs,services,ingresses,configmaps,secrets,hpa,pdb,networkpolicies,pvc,leases'
  kubectl(['delete', 'deployments,statefulsets,jobs', '--all', ...here], {
    nothrow: true,
    timeout: 120_000,
  })
  kubectl(['delete', 'pods', '--all', '--grace-period=1', ...here], {
    nothrow: true,
    timeout: 120_000,
  })
  kubectl(['delete', kinds, '--all', '--timeout', '120s', ...here], {
    nothrow: true,
    timeout: 130_000,
  })
  kubectl(['delete', 'role,rolebinding', 'deployer-secrets', ...here], { nothrow: true })
}

/**
 * Its env files, its place in the cluster, and the account that deploys it; throws when somebody
 * else is there.
 */
export function prepare(): void {
  const { code, stderr } = box.script(['env', 'demo'])
  assert.is(code, 0, stderr)
  // again where it is there: its settings may be older
  kubectl(['apply', '--kustomize', join(overlays, 'demo/cluster')], { timeout: 120_000 })
  const file = join(overlays, 'demo/kustomization.yaml')
  writeFileSync(
    file,
    readFileSync(file, 'utf8')
      .replace('namespace: kgc-demo', `namespace: ${space}`)
      .replace('DOMAIN=kgc.localhost', `DOMAIN=${domain}`),
  )
  const hosts: string[] = get('ingresses', ...here).items.map(
    ({ spec }: { spec: { rules: { host: string }[] } }) => spec.rules[0]?.host,
  )
  if (hosts.some(host => !host.endsWith(`.${domain}`)))
    throw new Error(`${space} is in use: ${hosts.join(', ')}`)
  mine = true
  stopAtExit(space)
  clear()
  deployer()
}

/** An account with a deployer's rights in the demo: there Secrets are not sealed. */
function deployer() {
  const group = 'rbac.authorization.k8s.io'
  const metadata = { name: 'deployer-secrets', namespace: space }
  apply(
    {
      apiVersion: `${group}/v1`,
      kind: 'Role',
      metadata,
      rules: [
        { apiGroups: [''], resources: ['secrets'], verbs: ['create', 'update', 'patch', 'delete'] },
      ],
    },
    {
      apiVersion: `${group}/v1`,
      kind: 'RoleBinding',
      metadata,
      roleRef: { apiGroup: group, kind: 'Role', name: 'deployer-secrets' },
      subjects: [{ kind: 'ServiceAccount', name: 'deployer', namespace: space }],
    },
  )
  writeKubeconfig(join(box.root, 'kubeconfig'), [
    { context: 'demo', account: 'deployer', namespace: space },
  ])
}
