// What every environment's manifests must keep, read off what kustomize builds.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { parse } from 'yaml'
import {
  build,
  copy,
  describedKeys,
  environments,
  find,
  labelsOf,
  mainOf,
  of,
  podOf,
  selects,
  title,
  workloads,
  type Json,
} from './manifests.ts'

const test = suite('manifests')
const builds: Record<string, Json[]> = Object.fromEntries(
  environments.map(name => [name, build(`overlays/${name}`)]),
)
const { production, staging, demo } = builds as {
  production: Json[]
  staging: Json[]
  demo: Json[]
}
const edge = build('cluster')

/** Calls `check` for every environment. */
function everywhere(check: (all: Json[], environment: string) => void) {
  for (const [environment, all] of Object.entries(builds)) check(all, environment)
}
/** Calls `check` for every container of every workload, the edge's too. */
function containers(
  check: (container: Json, workload: Json, where: string, init: boolean) => void,
) {
  for (const [environment, all] of [...Object.entries(builds), ['edge', edge] as const])
    for (const workload of workloads(all)) {
      const { containers, initContainers = [] } = podOf(workload)
      for (const container of [...containers, ...initContainers])
        check(
          container,
          workload,
          `${environment}: ${title(workload)}, ${container.name}`,
          initContainers.includes(container),
        )
    }
}

test('an overlay holds objects of its own namespace and nothing of the cluster', () => {
  const namespaced =
    `ConfigMap Deployment HorizontalPodAutoscaler Ingress Job NetworkPolicy PersistentVolumeClaim PodDisruptionBudget SealedSecret Secret
    Service StatefulSet`.split(/\s+/)
  everywhere((all, environment) => {
    for (const object of all) {
      assert.ok(namespaced.includes(object.kind), title(object))
      assert.is(object.metadata.namespace, `kgc-${environment}`, title(object))
    }
  })
})

test('every object says at which step of a deploy its turn is', () => {
  everywhere(all => {
    for (const object of all)
      assert.match(
        object.metadata.annotations?.['kgc.hu/order'] ?? '',
        /^(data|migrate|application|edge)$/,
        title(object),
      )
  })
})

test('plain Secrets are in the demo alone; elsewhere every secret key has its place in a SealedSecret', () => {
  assert.equal([...of(production, 'Secret'), ...of(staging, 'Secret')].map(title), [])
  for (const all of [production, staging])
    for (const { metadata, spec } of of(all, 'SealedSecret'))
      assert.equal(
        Object.keys(spec.encryptedData).sort(),
        describedKeys(metadata.name)
          .map(({ key }) => key)
          .sort(),
        `${metadata.namespace}: ${metadata.name}`,
      )
  assert.is(of(production, 'SealedSecret').length, of(demo, 'Secret').length)
})

test('every key of a Secret that is asked for is described, and optional only where its example says so', () => {
  containers(({ env = [], envFrom = [] }, _, where) => {
    assert.not.ok(
      envFrom.some(({ secretRef }: Json) => secretRef),
      `${where}: a missing key must be named, which envFrom does not do`,
    )
    for (const { name, valueFrom } of env) {
      const ref = valueFrom?.secretKeyRef
      if (!ref) continue
      const entry = describedKeys(ref.name.replace(/-[0-9a-z]{10}$/, '')).find(
        ({ key }) => key === ref.key,
      )
      assert.ok(entry, `${where}: ${name}: ${ref.key} is not in the example`)
      // an environment may demand more (components/smtp-login)
      if (ref.optional || where.startsWith('demo'))
        assert.is(ref.optional ?? false, !entry.required, `${where}: ${name}`)
    }
  })
})

test('every ConfigMap that is asked for is there, under a name that changes with what is in it', () => {
  everywhere((all, environment) => {
    const there = of(all, 'ConfigMap').map(({ metadata }) => metadata.name)
    // what a first start alone reads is no reason to start a database anew
    for (const name of there.filter(name => name !== 'postgres-init'))
      assert.match(name, /-[0-9a-z]{10}$/, `${environment}: ${name}`)
    for (const workload of workloads(all)) {
      const { containers, initContainers = [], volumes = [] } = podOf(workload)
      const asked = [
        ...[...containers, ...initContainers].flatMap(({ envFrom = [] }: Json) =>
          envFrom.map(({ configMapRef }: Json) => configMapRef.name),
        ),
        ...volumes.flatMap(({ configMap }: Json) => (configMap ? [configMap.name] : [])),
      ]
      for (const name of asked)
        assert.ok(there.includes(name), `${environment}: ${title(workload)}: ${name}`)
    }
  })
})

test('every container has requests, limits, probes and a security context; images have exact tags', () => {
  containers((container, workload, where, init) => {
    for (const part of ['requests', 'limits'])
      for (const kind of ['cpu', 'memory'])
        assert.ok(container.resources?.[part]?.[kind], `${where}: ${part}.${kind}`)
    assert.match(container.image, /^[\w.:\/-]+:[\w.-]+(@sha256:[0-9a-f]{64})?$/, where)
    assert.not.match(container.image, /:(latest|edge|develop|main)(@|$)/, where)
    assert.equal(
      [container.securityContext.allowPrivilegeEscalation, container.securityContext.capabilities],
      [false, { drop: ['ALL'] }],
      where,
    )
    if (init || workload.kind === 'Job') return
    assert.ok(container.readinessProbe && container.livenessProbe, `${where}: probes`)
    assert.not.equal(container.readinessProbe, container.livenessProbe, where)
  })
})

test('liveness asks the container alone', () => {
  containers(({ livenessProbe }, _, where) => {
    if (!livenessProbe) return
    assert.not.match(
      JSON.stringify(livenessProbe),
      /ready|-db|-redis|http:\/\/(?!127\.0\.0\.1|localhost)/,
      where,
    )
    assert.is(livenessProbe.httpGet?.host, undefined, where)
  })
})

test("every pod keeps Pod Security's `restricted`, but Chatwoot's, whose image runs as root", () => {
  for (const [environment, all] of [...Object.entries(builds), ['edge', edge] as const])
    for (const workload of workloads(all)) {
      const pod = podOf(workload)
      const where = `${environment}: ${title(workload)}`
      assert.equal(pod.securityContext.seccompProfile, { type: 'RuntimeDefault' }, where)
      assert.is(pod.automountServiceAccountToken, workload.metadata.name === 'traefik', where)
      assert.is(pod.enableServiceLinks, false, where)
      assert.not.ok(
        pod.hostNetwork ||
          pod.hostPID ||
          pod.hostIPC ||
          pod.volumes?.some((volume: Json) => volume.hostPath),
        where,
      )
      const rooted = /^chatwoot-(web|sidekiq|prepare)$/.test(workload.metadata.name)
      assert.is(pod.securityContext.runAsNonRoot, rooted ? undefined : true, where)
      if (!rooted)
        assert.ok(
          pod.securityContext.runAsUser > 0,
          `${where}: a number, or the kubelet cannot tell`,
        )
      for (const { ports = [] } of pod.containers)
        for (const port of ports) assert.is(port.hostPort, undefined, where)
    }
  for (const { metadata } of of(edge, 'Namespace'))
    assert.is(
      metadata.labels['pod-security.kubernetes.io/enforce'],
      metadata.name === 'traefik' ? 'restricted' : 'baseline',
      metadata.name,
    )
})

test('every Service selects pods, every Ingress leads to a port of a Service, every policy, budget and autoscaler has its object', () => {
  everywhere((all, environment) => {
    const pods = workloads(all).map(labelsOf)
    for (const service of of(all, 'Service')) {
      const matching = workloads(all).filter(workload =>
        selects({ matchLabels: service.spec.selector }, labelsOf(workload)),
      )
      assert.is(matching.length, 1, `${environment}: ${title(service)}`)
      const ports = podOf(matching[0]!).containers.flatMap(({ ports = [] }: Json) => ports)
      for (const { port, targetPort = port } of service.spec.ports)
        assert.ok(
          ports.some((one: Json) => one.containerPort === targetPort || one.name === targetPort),
          `${environment}: ${title(service)}: ${port}`,
        )
    }
    for (const ingress of of(all, 'Ingress')) {
      assert.is(ingress.spec.ingressClassName, find(edge, 'IngressClass', 'traefik').metadata.name)
      for (const { host, http } of ingress.spec.rules)
        for (const { backend } of http.paths) {
          const { ports } = find(all, 'Service', backend.service.name).spec
          assert.ok(
            ports.some((port: Json) => port.name === backend.service.port.name),
            `${environment}: ${host}`,
          )
        }
    }
    // scripts/backup.ts makes Jobs beside each database
    const dumpers = of(all, 'StatefulSet')
      .map(({ metadata }) => /^(.*)-db$/.exec(metadata.name)?.[1])
      .map(database => ({ 'app.kubernetes.io/name': `${database}-backup` }))
    for (const { metadata, spec } of of(all, 'NetworkPolicy'))
      assert.ok(
        [...pods, ...dumpers].some(labels => selects(spec.podSelector, labels)),
        `${environment}: ${metadata.name}`,
      )
    for (const { spec } of of(all, 'HorizontalPodAutoscaler'))
      assert.is(find(all, 'Deployment', spec.scaleTargetRef.name).spec.replicas, undefined)
    for (const workload of workloads(all))
      if (workload.kind !== 'Job')
        assert.ok(selects(workload.spec.selector, labelsOf(workload)), title(workload))
  })
})

test('a budget is for what has two or more, and never keeps a node from being drained', () => {
  everywhere((all, environment) => {
    for (const { metadata, spec } of of(all, 'PodDisruptionBudget')) {
      const [workload] = workloads(all).filter(workload =>
        selects(spec.selector, labelsOf(workload)),
      )
      const scaled = of(all, 'HorizontalPodAutoscaler').find(
        ({ spec }) => spec.scaleTargetRef.name === workload!.metadata.name,
      )
      assert.ok(
        (scaled?.spec.minReplicas ?? workload!.spec.replicas) >= 2,
        `${environment}: ${metadata.name}`,
      )
      assert.equal(
        [spec.maxUnavailable, spec.unhealthyPodEvictionPolicy],
        [1, 'AlwaysAllow'],
        metadata.name,
      )
    }
  })
})

test('StatefulSets heal after a bad image, Jobs go by themselves, data outlives its StatefulSet', () => {
  everywhere(all => {
    for (const { spec, metadata } of of(all, 'StatefulSet')) {
      assert.is(spec.podManagementPolicy, 'Parallel', metadata.name)
      assert.is(find(all, 'Service', spec.serviceName).spec.clusterIP, 'None', metadata.name)
      if (spec.volumeClaimTemplates)
        assert.equal(spec.persistentVolumeClaimRetentionPolicy, {
          whenDeleted: 'Retain',
          whenScaled: 'Retain',
        })
    }
    for (const { spec } of of(all, 'Job'))
      assert.ok(
        spec.ttlSecondsAfterFinished > 0 && spec.backoffLimit === 0 && spec.activeDeadlineSeconds,
      )
  })
})

test('pods that share a volume are on one node', () => {
  everywhere(all => {
    for (const claim of of(all, 'PersistentVolumeClaim')) {
      const mounts = ({ persistentVolumeClaim }: Json) =>
        persistentVolumeClaim?.claimName === claim.metadata.name
      const users = workloads(all).filter(workload => podOf(workload).volumes?.some(mounts))
      assert.is(users.length, 2, title(claim))
      for (const user of users) {
        const [rule] =
          podOf(user).affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution
        assert.equal(rule, {
          topologyKey: 'kubernetes.io/hostname',
          labelSelector: { matchLabels: { 'kgc.hu/volume': claim.metadata.name } },
        })
        assert.is(labelsOf(user)['kgc.hu/volume'], claim.metadata.name, title(user))
      }
    }
  })
})

test('Sidekiq, the scheduler and the migrations: time, number, order', () => {
  everywhere(all => {
    assert.ok(
      podOf(find(all, 'Deployment', 'chatwoot-sidekiq')).terminationGracePeriodSeconds >= 130,
    )
    const { spec } = find(all, 'Deployment', 'horilla-scheduler')
    assert.equal([spec.replicas, spec.strategy.type], [1, 'Recreate'])
    assert.is(find(all, 'StatefulSet', 'twenty-server').spec.replicas, 1)
    const minutes = (kind: string, name: string) => {
      const { periodSeconds, failureThreshold } = mainOf(find(all, kind, name)).startupProbe
      return (periodSeconds * failureThreshold) / 60
    }
    assert.equal(
      [minutes('StatefulSet', 'twenty-server'), minutes('Deployment', 'horilla-web')],
      [15, 30],
    )
    for (const name of [
      'kgc-api',
      'twenty-worker',
      'chatwoot-web',
      'chatwoot-sidekiq',
      'horilla-scheduler',
    ])
      assert.match(podOf(find(all, 'Deployment', name)).initContainers[0].name, /^wait-for-/, name)
  })
})

test('the edge serves an application that has no administrator yet to nobody: it wants a label that stands in the manifests only where Compose has no door', () => {
  everywhere(all => {
    for (const { metadata } of of(all, 'Ingress')) {
      const folder: string = metadata.labels['app.kubernetes.io/part-of']
      const compose = readFileSync(join(copy.docker, folder, 'docker-compose.yml'), 'utf8')
      const waits = compose.includes(`open-${folder}@file`)
      assert.is(metadata.labels['kgc.hu/door'], waits ? undefined : 'open', metadata.name)
      if (folder === 'kgc') assert.not.ok(waits)
    }
  })
  const [config] = of(edge, 'ConfigMap').filter(
    ({ data }) => data.TRAEFIK_PROVIDERS_KUBERNETESINGRESS,
  )
  assert.is(config!.data.TRAEFIK_PROVIDERS_KUBERNETESINGRESS_LABELSELECTOR, 'kgc.hu/door=open')
})

test('certificates are had behind a closed door: Traefik and cert-manager answer the authority by routes that no door is in front of', () => {
  const [config] = of(edge, 'ConfigMap').filter(
    ({ data }) => data.TRAEFIK_PROVIDERS_KUBERNETESINGRESS,
  )
  // Traefik's own answer is a route of its own on the plain entry point (acme-http@internal),
  // whatever Ingresses it reads
  assert.is(
    config!.data.TRAEFIK_CERTIFICATESRESOLVERS_LETSENCRYPT_ACME_HTTPCHALLENGE_ENTRYPOINT,
    'web',
  )
  // cert-manager's is an Ingress that it makes from this template, and Traefik reads those with the
  // label alone
  const issuer: Json = parse(
    readFileSync(join(copy.root, 'infra/k8s/cluster/cert-manager/issuer.yaml'), 'utf8'),
  )
  const wanted = config!.data.TRAEFIK_PROVIDERS_KUBERNETESINGRESS_LABELSELECTOR
  for (const { http01 } of issuer.spec.acme.solvers) {
    const labels = Object.entries(http01.ingress.ingressTemplate.metadata.labels).map(pair =>
      pair.join('='),
    )
    assert.equal(
      [http01.ingress.ingressClassName, labels],
      [config!.data.TRAEFIK_PROVIDERS_KUBERNETESINGRESS_INGRESSCLASS, [wanted]],
    )
  }
})

test('priorities are those that the cluster knows', () => {
  const known = of(edge, 'PriorityClass').map(({ metadata }) => metadata.name)
  for (const workload of [...Object.values(builds), edge].flatMap(workloads))
    assert.ok(known.includes(podOf(workload).priorityClassName), title(workload))
})

test('the domain stands once in an overlay, and every host is under it', () => {
  everywhere((all, environment) => {
    const domain: string = find(all, 'ConfigMap', 'stack').data.DOMAIN
    const names = ['admin', 'api', 'app', 'crm', 'hr', 'support']
    const text = readFileSync(
      join(copy.root, 'infra/k8s/overlays', environment, 'kustomization.yaml'),
      'utf8',
    ).replace(/^ *#.*$/gm, '')
    assert.is(text.split(`DOMAIN=${domain}`).length, 2, environment)
    for (const name of names) assert.not.ok(text.includes(`${name}.${domain}`), environment)
    const hosts = of(all, 'Ingress').flatMap(({ spec }) => spec.rules.map(({ host }: Json) => host))
    for (const name of names) assert.ok(hosts.includes(`${name}.${domain}`), name)
    for (const host of hosts) assert.ok(host.endsWith(`.${domain}`), host)
  })
})

test('the demo pulls from the registry on its node alone, and asks for no certificates', () => {
  containers(({ image }, workload, where) => {
    if (workload.metadata.namespace === 'kgc-demo')
      assert.match(image, /^127\.0\.0\.1:5001\/kgc-demo\//, where)
  })
  for (const [environment, all] of Object.entries(builds))
    for (const { metadata } of of(all, 'Ingress'))
      assert.is(
        metadata.annotations['traefik.ingress.kubernetes.io/router.tls.certresolver'],
        environment === 'demo' ? undefined : 'letsencrypt',
      )
})

test.run()
