// Compose and Kubernetes run the same stack: images, commands, ports, variables with their values,
// health checks, limits, volumes and routes.
// What differs on purpose stands in `differences` with its reason; what differs otherwise fails,
// and names both places.
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'dotenv'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import {
  build,
  copy,
  find,
  mainOf,
  of,
  podOf,
  variables,
  workloads,
  type Json,
} from './manifests.ts'

const test = suite('parity')
const argv = [
  'compose',
  '-f',
  'docker-compose.yml',
  '-f',
  'docker-compose.prod.yml',
  'config',
  '--format',
  'json',
]
const compose: Json = JSON.parse(
  execFileSync('docker', argv, {
    cwd: copy.docker,
    encoding: 'utf8',
    env: { ...process.env, ACME_EMAIL: 'ops@kgc.hu' },
  }),
)
const edge = build('cluster')
// production's own under the domain that Compose has, whichever an environment has by now
const overlay = join(copy.root, 'infra/k8s/overlays/production/kustomization.yaml')
const { DOMAIN } = parse(readFileSync(join(copy.docker, '.env')))
writeFileSync(overlay, readFileSync(overlay, 'utf8').replace(/DOMAIN=[\w.-]+/, `DOMAIN=${DOMAIN}`))
const production = [...build('overlays/production'), ...edge]

/** Variables that one side alone has, or whose values differ. */
const differences: { of: RegExp; variable: RegExp; why: string }[] = [
  {
    of: /^(?!traefik$)/,
    variable: /^(DOMAIN|URL_PORT|TZ)$/,
    why: 'put into other values in the pod; Compose does so before',
  },
  {
    of: /^(?!traefik$)/,
    variable: /^\w+_(DB_LOGIN|(DB|REDIS)_PASSWORD)$/,
    why: 'part of an address, put together in the pod',
  },
  { of: /-db$/, variable: /^PGDATA$/, why: 'a block volume has a lost+found at its root' },
  {
    of: /^chatwoot/,
    variable: /^SMTP_NO_/,
    why: 'stands on Compose for a variable that must be absent; on Kubernetes it is (components/smtp-login)',
  },
  {
    of: /^traefik$/,
    variable: /^TRAEFIK_PROVIDERS_(DOCKER|KUBERNETESINGRESS)/,
    why: 'where the routes come from',
  },
  {
    of: /^traefik$/,
    variable: /^TRAEFIK_ENTRYPOINTS_WEBSECURE_HTTP_TLS_CERTRESOLVER$/,
    why: 'on Kubernetes each environment chooses (components/acme)',
  },
  {
    of: /^traefik$/,
    variable: /^TRAEFIK_ENTRYPOINTS_WEBSECURE_TRANSPORT_LIFECYCLE/,
    why: 'a balancer in front of the pod notices its end late',
  },
]
const onlyCompose: Record<string, string> = {
  'socket-proxy': 'on Kubernetes Traefik asks the API server, which knows rights',
}
/** Readiness by HTTP where Compose's check, of the same address or not, runs in the container. */
const httpReadiness: Record<string, { path: string; why: string }> = {
  'kgc-web': { path: '/', why: 'the page itself; /health is alive' },
  'kgc-admin': {
    path: '/health/page',
    why: 'the page asks for its password; this is 503 without a page',
  },
  'horilla-web': { path: '/ready/', why: '503 without the database; /health/ is alive' },
  'error-pages': { path: '/unknown.html', why: 'the other page; /restarting.html is alive' },
  traefik: { path: '/ping', why: 'what `traefik healthcheck` asks' },
}
const otherCommands: Record<string, string> = {
  'horilla-scheduler':
    "past the image's entrypoint, which on Compose HORILLA_SKIP_RELEASE_TASKS keeps from migrating beside the web's",
}

const services = Object.entries<Json>(compose.services).filter(([name]) => !onlyCompose[name])
const workload = (name: string) =>
  workloads(production).find(({ metadata }) => metadata.name === name)!

/** Calls `check` for every service that both sides have. */
function both(check: (service: Json, workload: Json, name: string) => void) {
  for (const [name, service] of services) check(service, workload(name), name)
}

/** A value that differs is shown by its place, never as it is: it may be a secret. */
const secret = (name: string, key: string): string =>
  parse(readFileSync(join(copy.docker, name.replace(/-secrets$/, ''), '.env')))[key] ?? ''

test('every service has its workload, and the other way round', () => {
  assert.equal(
    workloads(production)
      .map(({ metadata }) => metadata.name)
      .sort(),
    services.map(([name]) => name).sort(),
  )
})

/** deploy.ts sets the commit that is pinned where a manifest names none. */
const [, pinned] =
  /^KGC_REF=(.+)$/m.exec(readFileSync(join(copy.docker, 'kgc/.env.example'), 'utf8')) ?? []
const deployed = (image: string) => image.replace(/:unset$/, `:${pinned ?? 'unset'}`)

test('images', () =>
  both((service, workload, name) =>
    assert.is(
      deployed(mainOf(workload).image),
      service.image,
      `${name}: image in infra/docker and in infra/k8s`,
    ),
  ))

test('the images of init containers are those of the stack', () => {
  const images = new Set(services.map(([, { image }]) => image))
  for (const workload of workloads(production))
    for (const { name, image } of podOf(workload).initContainers ?? [])
      assert.ok(images.has(deployed(image)), `${workload.metadata.name}, ${name}: ${image}`)
})

test("KGC's commit stands in one place: no manifest names it", () => {
  for (const name of ['kgc-api', 'kgc-web', 'kgc-admin', 'kgc-migrate'])
    assert.match(mainOf(workload(name)).image, /:unset$/, name)
})

test('commands', () => {
  const words = (list?: string[]) => (list ?? []).map(word => word.replaceAll('$$', '$'))
  both((service, workload, name) => {
    const { command, args } = mainOf(workload)
    const here = otherCommands[name] ? command : args
    assert.equal(
      here ?? [],
      words(service.command),
      `${name}: command in infra/docker, args in infra/k8s`,
    )
    if (!otherCommands[name])
      assert.equal(
        command ?? [],
        words(service.entrypoint),
        `${name}: entrypoint in infra/docker, command in infra/k8s`,
      )
  })
})

function describeDifference(key: string, there: object, here: object): string {
  if (!(key in there)) return 'is in infra/k8s only'
  return key in here
    ? 'has another value in infra/docker than in infra/k8s'
    : 'is in infra/docker only'
}

test('variables and their values', () => {
  const wrong: string[] = []
  both((service, workload, name) => {
    const there = service.environment ?? {}
    const here = variables(production, mainOf(workload), secret)
    for (const key of new Set([...Object.keys(there), ...Object.keys(here)])) {
      if (
        (there[key] ?? undefined) === here[key] ||
        differences.some(({ of, variable }) => of.test(name) && variable.test(key))
      )
        continue
      wrong.push(`${name}: ${key} ${describeDifference(key, there, here)}`)
    }
  })
  assert.equal(wrong, [])
})

test('no difference is listed that is none', () => {
  for (const { of, variable, why } of differences)
    assert.ok(
      services.some(([name, { environment = {} }]) => {
        const here = variables(production, mainOf(workload(name)), secret)
        return (
          of.test(name) &&
          Object.keys({ ...environment, ...here }).some(
            key => variable.test(key) && environment[key] !== here[key],
          )
        )
      }),
      why,
    )
})

test("health: readiness is Compose's own check, word by word; a path of it is probed", () => {
  both((service, workload, name) => {
    if (workload.kind === 'Job') return
    const { readinessProbe, livenessProbe, startupProbe } = mainOf(workload)
    // what health.sh runs: quoted for a shell, and so that `pgrep` does not find it there
    const check = (service.healthcheck.test[3] as string)
      .replaceAll('$$', '$')
      .replace(/\[(\w)\]/, '$1')
    const http = httpReadiness[name]
    if (!http) {
      const command = (readinessProbe.exec?.command as string[]) ?? []
      const inShell = command[0] === 'sh'
      return assert.is(
        inShell ? command[2] : command.join(' '),
        inShell ? check : check.replaceAll("'", ''),
        `${name}: healthcheck in infra/docker, readinessProbe in infra/k8s`,
      )
    }
    assert.is(readinessProbe.httpGet?.path, http.path, name)
    const path = /http:\/\/[^/]+(\/\S*)$/.exec(check)?.[1]
    if (path)
      for (const probe of [livenessProbe, startupProbe])
        assert.is(probe.httpGet?.path, path, `${name}: ${path} in infra/docker`)
  })
})

test("the edge's health path is that of a probe, and its port the Service's", () => {
  both((service, workload, name) => {
    const label = (end: string) =>
      Object.entries<string>(service.labels ?? {}).find(([key]) => key.endsWith(end))?.[1]
    const url = label('loadbalancer.server.url')
    if (!url) return
    const port = url.split(':').at(-1)!
    assert.equal(
      find(production, 'Service', name).spec.ports.map((one: Json) => String(one.port)),
      [port],
      name,
    )
    assert.ok(
      mainOf(workload).ports.some((one: Json) => String(one.containerPort) === port),
      `${name}: containerPort ${port}`,
    )
    assert.is(
      mainOf(workload).livenessProbe.httpGet?.path,
      label('loadbalancer.healthcheck.path'),
      name,
    )
  })
})

test('limits, and time enough to end', () => {
  const bytes = (text: string) =>
    Number.parseInt(text) * { Mi: 2 ** 20, Gi: 2 ** 30 }[text.slice(-2) as 'Mi' | 'Gi']
  const seconds = (text = '10s') =>
    [...text.matchAll(/(\d+)([ms])/g)].reduce(
      (sum, [, number, unit]) => sum + Number(number) * (unit === 'm' ? 60 : 1),
      0,
    )
  both((service, workload, name) => {
    const { limits, requests } = mainOf(workload).resources
    assert.is(
      bytes(requests.memory),
      Number(service.mem_reservation),
      `${name}: mem_reservation in infra/docker, requests.memory in infra/k8s`,
    )
    assert.is(
      bytes(limits.memory),
      Number(service.mem_limit),
      `${name}: mem_limit in infra/docker, limits.memory in infra/k8s`,
    )
    assert.is(
      Number(limits.cpu),
      Number(service.cpus),
      `${name}: cpus in infra/docker, limits.cpu in infra/k8s`,
    )
    if (workload.kind === 'Job') return
    assert.ok(
      (podOf(workload).terminationGracePeriodSeconds ?? 30) >= seconds(service.stop_grace_period),
      `${name}: stop_grace_period`,
    )
  })
})

test('a root file system is read-only on both or on neither, and volumes of data are where they are', () => {
  both((service, workload, name) => {
    assert.is(
      mainOf(workload).securityContext.readOnlyRootFilesystem ?? false,
      service.read_only ?? false,
      name,
    )
    // the doors that `make admin` opens are Compose's alone
    const named = (service.volumes ?? [])
      .filter(({ type, source }: Json) => type === 'volume' && source !== 'traefik-doors')
      .map(({ target }: Json) => target)
    const claimed = [
      ...(podOf(workload).volumes ?? []).filter((volume: Json) => volume.persistentVolumeClaim),
      ...(workload.spec.volumeClaimTemplates ?? []).map(({ metadata }: Json) => metadata),
    ].map(({ name }) => name)
    const mounts = (mainOf(workload).volumeMounts ?? [])
      .filter(({ name }: Json) => claimed.includes(name))
      .map(({ mountPath }: Json) => mountPath)
    // the preparation of Chatwoot writes no uploads; a Job on that volume would be tied to its node
    assert.equal(mounts, name === 'chatwoot-prepare' ? [] : named, `${name}: volumes`)
  })
})

test('routes: host, path, service, middlewares', () => {
  const rules = /Host\(`([^`]+)`\)(?: && PathPrefix\(`([^`]+)`\))?/g
  const there = services.flatMap(([name, { labels = {} }]) =>
    Object.entries<string>(labels)
      .filter(([key]) => key.endsWith('.rule'))
      .flatMap(([key, rule]) => {
        // a door that `make admin` opens is Compose's alone
        const middlewares = labels[key.replace('.rule', '.middlewares')]?.replace(
          /^open-[\w-]+@file,/,
          '',
        )
        return [...rule.matchAll(rules)].map(
          ([, host, path = '/']) => `${host}${path} ${name} ${middlewares}`,
        )
      }),
  )
  const here = of(production, 'Ingress').flatMap(({ metadata, spec }) => {
    const middlewares = metadata.annotations['traefik.ingress.kubernetes.io/router.middlewares']
    return spec.rules.flatMap(({ host, http }: Json) =>
      http.paths.map(
        ({ path, backend }: Json) => `${host}${path} ${backend.service.name} ${middlewares}`,
      ),
    )
  })
  assert.equal(here.sort(), there.sort())
})

test.run()
