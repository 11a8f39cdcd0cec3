// Small manifests for tests of what a deploy reads and sorts.
import type { Manifest } from '../../scripts/lib/kubernetes/objects.ts'

export const object = (kind: string, name: string, more: Record<string, any> = {}): Manifest => ({
  apiVersion: 'v1',
  kind,
  metadata: { name, namespace: 'x' },
  ...more,
})

export const ordered = (kind: string, name: string, order: string) =>
  object(kind, name, { metadata: { name, annotations: { 'kgc.hu/order': order } } })

export const workload = (name: string, container: object = {}, kind = 'Deployment'): Manifest =>
  object(kind, name, {
    apiVersion: 'apps/v1',
    spec: {
      template: {
        metadata: { labels: { app: name } },
        spec: { containers: [{ image: 'ghcr.io/kgc/api:1', ...container }] },
      },
    },
  })
