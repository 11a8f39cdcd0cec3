// Autoscalers: a number of replicas beside one, and one that stands at 0.
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import {
  findFixedReplicas,
  findStoppedTargets,
} from '../../scripts/lib/deploy/preflight/autoscalers.ts'
import { object, workload } from './manifest-builders.ts'

const test = suite('autoscalers')

test('kubernetes/kubernetes#25238, kubernetes/kubernetes#95695: an autoscaler and a number beside it; one that stands at 0', () => {
  const scaled = (replicas?: number) => {
    const web = workload('web')
    if (replicas !== undefined) web.spec.replicas = replicas
    return web
  }
  const autoscaler = (minReplicas?: number) =>
    object('HorizontalPodAutoscaler', 'web', {
      spec: { scaleTargetRef: { kind: 'Deployment', name: 'web' }, minReplicas },
    })
  assert.equal(findFixedReplicas([scaled(), autoscaler(2)]), [])
  assert.equal(findFixedReplicas([scaled(3)]), [])
  assert.match(
    findFixedReplicas([scaled(3), autoscaler(2)])[0]!,
    /^Deployment web sets replicas: 3/,
  )
  const all = [scaled(), autoscaler(2)]
  assert.equal(findStoppedTargets(all, [scaled(1)]), [])
  assert.equal(findStoppedTargets(all, []), [])
  assert.equal(findStoppedTargets([scaled(), autoscaler(0)], [scaled(0)]), [])
  assert.equal(findStoppedTargets([scaled(2), autoscaler(2)], [scaled(0)]), [])
  assert.match(findStoppedTargets(all, [scaled(0)])[0]!, 'scale deployment/web --replicas 2')
})

test.run()
