// What every mode of the Compose stack must keep, read off `docker compose config`; each trap of
// the applications that YAML can show.
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { parse } from 'yaml'
import { databaseVolumesOf } from '../../scripts/lib/compose/volumes/secrets.ts'
import { repository, sandbox } from '../sandbox.ts'

const test = suite('policy')
const box = sandbox()
for (const argv of [['env'], ['env', 'demo']]) {
  const { code, stderr } = box.script(argv)
  if (code !== 0) throw new Error(`env files could not be made: ${stderr}`)
}
const folders = readdirSync(box.docker).filter(name =>
  existsSync(join(box.docker, name, 'docker-compose.yml')),
)
const ours =
  `chatwoot-db chatwoot-prepare chatwoot-redis chatwoot-sidekiq chatwoot-web error-pages horilla-db horilla-scheduler horilla-web kgc-admin kgc-api kgc-db
  kgc-migrate kgc-redis kgc-web socket-proxy traefik twenty-db twenty-redis twenty-server twenty-worker`.split(
    /\s+/,
  )
const environment = { ...process.env, ACME_EMAIL: 'ops@kgc.hu' }

type Json = Record<string, any>
const config = (...argv: string[]): Json =>
  JSON.parse(
    execFileSync('docker', ['compose', ...argv, 'config', '--format', 'json'], {
      cwd: box.docker,
      encoding: 'utf8',
      env: environment,
    }),
  )
const overlay = (mode: string) => ['-f', 'docker-compose.yml', '-f', `docker-compose.${mode}.yml`]
const modes: Record<string, Json> = {
  dev: config(...overlay('dev')),
  prod: config(...overlay('prod')),
  demo: config('-p', 'kgc-demo', '--env-file', '.env.demo', ...overlay('demo')),
}
const alone: Record<string, Json> = Object.fromEntries(
  folders.map(folder => [folder, config('-f', `${folder}/docker-compose.yml`)]),
)
const { dev, prod, demo } = modes as { dev: Json; prod: Json; demo: Json }
const oneShots = ['kgc-migrate', 'chatwoot-prepare']
const stores = (all: Json) => Object.keys(all.services).filter(name => /-(db|redis)$/.test(name))

const databases = (all: Json) => stores(all).filter(name => name.endsWith('-db'))

/** Calls `check` for every service of every mode. */
function everywhere(check: (service: Json, name: string, mode: string) => void) {
  for (const [mode, all] of Object.entries(modes))
    for (const [name, service] of Object.entries<Json>(all.services))
      check(service, name, `${mode}: ${name}`)
}

test('the services are those of the stack, in every mode', () => {
  for (const all of Object.values(modes)) {
    assert.equal(
      ours.filter(name => !(name in all.services)),
      [],
    )
    assert.equal(Object.keys(all.services).sort(), Object.keys(dev.services).sort())
  }
})

test('every image has an exact tag, and a digest only in full', () => {
  everywhere(({ image }, _, where) => {
    if (/\/kgc-(api|web|admin):/.test(image) && !where.startsWith('demo'))
      return assert.match(image, /:(unset|[0-9a-f]{40})$/, where)
    assert.match(image, /^[\w.\/-]+:[\w.-]+(@sha256:[0-9a-f]{64})?$/, where)
    assert.not.match(image, /:(latest|edge|develop|main)(@|$)/, where)
  })
})

test('every long-running service has a health check with a start period', () => {
  everywhere(({ healthcheck }, name, where) => {
    if (oneShots.includes(name)) return
    assert.ok(healthcheck?.test?.length && !healthcheck.disable, where)
    for (const key of ['interval', 'timeout', 'retries', 'start_period'])
      assert.ok(healthcheck[key], `${where}: ${key}`)
    assert.not.ok(healthcheck.start_interval, `${where}: Docker 20.10 refuses start_interval`)
  })
})

test('a health check costs little once it passes (moby/moby#39102), and does not find itself', () => {
  everywhere(({ healthcheck, volumes = [] }, name, where) => {
    if (oneShots.includes(name)) return
    const [how, ...argv] = healthcheck.test as string[]
    assert.equal([how, ...argv.slice(0, 2)], ['CMD', 'sh', '/health.sh'], where)
    assert.ok(volumes.some(isHealthScript), where)
    const check = argv[2]!
    const [, pattern] = /pgrep -f '?([^']+)'?/.exec(check) ?? []
    for (const own of [argv.join(' '), `timeout 5 sh -c ${check}`, `sh -c ${check}`])
      if (pattern) assert.not.match(own, new RegExp(pattern), where)
  })
})
const isHealthScript = ({ target }: Json) => target === '/health.sh'

/** What Kubernetes asks for an application's volumes, GiB. */
function requestedDisk(folder: string): number {
  const base = join(repository, 'infra/k8s/base')
  const home = join(base, folder)
  if (!existsSync(home)) return 0
  const claims = [
    ...readdirSync(home).map(name => join(home, name)),
    ...['postgres', 'redis'].flatMap(name =>
      existsSync(join(home, name === 'postgres' ? 'db' : name))
        ? [join(base, name, `${name}.yaml`)]
        : [],
    ),
  ].filter(file => file.endsWith('.yaml'))
  const sizes = claims.flatMap(file =>
    [...readFileSync(file, 'utf8').matchAll(/storage: (\d+)Gi/g)].map(([, size]) => Number(size)),
  )
  return sizes.reduce((sum, size) => sum + size, 0)
}

test('umami-software/umami#1395: the table of what a machine needs is what the files reserve, application by application', () => {
  const { services } = modes.prod!
  const rows = folders.map(folder => {
    const names = Object.keys(
      parse(readFileSync(join(box.docker, folder, 'docker-compose.yml'), 'utf8')).services,
    )
    const lasting = names.filter(name => !oneShots.includes(name))
    for (const name of names)
      assert.ok(
        Number(services[name].mem_reservation) > 0 &&
          Number(services[name].mem_reservation) <= Number(services[name].mem_limit),
        `${name}: mem_reservation`,
      )
    const sum = (key: string) => lasting.reduce((all, name) => all + Number(services[name][key]), 0)
    const mega = (bytes: number) => `${Math.round(bytes / 2 ** 20)} MiB`
    const disk = requestedDisk(folder)
    return `| \`${folder}\` | ${mega(sum('mem_reservation'))} | ${mega(sum('mem_limit'))} | ${sum('cpus')} | ${disk ? `${disk} GiB` : ''} |`
  })
  const lines = readFileSync(join(repository, 'docs/requirements.md'), 'utf8')
    .split('\n')
    .filter(line => line.startsWith('| `'))
  // an application of the user's own need not stand in it
  const name = (row: string) => row.split('|')[1]
  assert.equal(
    lines,
    rows.filter(row => lines.some(line => name(line) === name(row))),
  )
})

test('traefik/traefik#4153, #13250: what is there and not ready answers 503 on both engines, for 404 says that it is gone', () => {
  const kubernetes = readFileSync(join(repository, 'infra/k8s/cluster/traefik/config.env'), 'utf8')
  assert.match(kubernetes, /^TRAEFIK_PROVIDERS_KUBERNETESINGRESS_ALLOWEMPTYSERVICES=true$/m)
  for (const [mode, { services }] of Object.entries(modes))
    assert.is(
      services.traefik.environment.TRAEFIK_PROVIDERS_DOCKER_ALLOWEMPTYSERVICES,
      'true',
      mode,
    )
})

test('Traefik lets go of an idle connection before Node (5 s) or gunicorn (2 s) closes it, which would be a 502 for a POST', () => {
  const name = 'TRAEFIK_SERVERSTRANSPORT_FORWARDINGTIMEOUTS_IDLECONNTIMEOUT'
  const kubernetes = readFileSync(join(repository, 'infra/k8s/cluster/traefik/config.env'), 'utf8')
  for (const { services } of Object.values(modes))
    assert.is(services.traefik.environment[name], '1s')
  assert.match(kubernetes, new RegExp(`^${name}=1s$`, 'm'))
})

const rules: Json = parse(readFileSync(join(box.docker, 'traefik/dynamic/middlewares.yml'), 'utf8'))
  .http.middlewares

test('what people look at has a page while it restarts; an API keeps its own answers', () => {
  for (const [mode, { services }] of Object.entries(modes)) {
    const chains = Object.values<Json>(services)
      .flatMap(({ labels = {} }) => Object.entries<string>(labels))
      .filter(([key]) => /\.routers\..*\.middlewares$/.test(key))
    assert.ok(chains.length > 6, mode)
    for (const [key, chain] of chains)
      assert.is(
        /(error-pages|application)@file/.test(chain),
        !key.includes('.kgc-api'),
        `${mode} ${key}`,
      )
  }
  assert.equal(rules['error-pages'].chain.middlewares, ['restarting', 'retry'])
  assert.equal(rules.application.chain.middlewares, ['headers', 'restarting', 'sso', 'retry'])
})

test('no router names `retry` itself: one that names what an older edge does not have is left out', () => {
  for (const [mode, { services }] of Object.entries(modes))
    for (const { labels = {} } of Object.values<Json>(services))
      assert.not.match(JSON.stringify(labels), 'retry@file', mode)
  const base = join(repository, 'infra/k8s')
  const files = readdirSync(base, { recursive: true, encoding: 'utf8' })
  for (const file of files.filter(name => name.endsWith('.yaml')))
    assert.not.match(readFileSync(join(base, file), 'utf8'), 'retry@file', file)
})

test('every service has limits, log rotation and no privileges', () => {
  everywhere((service, _, where) => {
    assert.ok(Number(service.mem_limit) > 0 && Number(service.cpus) > 0, `${where}: limits`)
    const labels = 'com.docker.compose.project,com.docker.compose.service'
    assert.equal(
      service.logging,
      { driver: 'json-file', options: { 'max-file': '3', 'max-size': '10m', labels } },
      where,
    )
    assert.equal(service.cap_drop, ['ALL'], where)
    assert.not.ok(
      service.cap_add ||
        service.privileged ||
        service.pid ||
        service.network_mode ||
        service.container_name,
      where,
    )
    assert.equal(service.security_opt, ['no-new-privileges:true'], where)
  })
})

test('the root file system is read-only but where an image writes to it', () => {
  const writable = [
    'twenty-server',
    'twenty-worker',
    'chatwoot-web',
    'chatwoot-sidekiq',
    'chatwoot-prepare',
  ]
  everywhere(
    (service, name, where) =>
      ours.includes(name) && assert.is(Boolean(service.read_only), !writable.includes(name), where),
  )
})

test('one-shots run once, the rest comes back; in production also after an engine that was killed', () => {
  everywhere(({ restart }, name, where) => {
    const serviceRestart = where.startsWith('prod') ? 'always' : 'unless-stopped'
    assert.is(restart, oneShots.includes(name) ? 'no' : serviceRestart, where)
  })
})

test('production publishes 80 and 443 of Traefik, and nothing else', () => {
  const ports = Object.entries<Json>(prod.services).flatMap(([name, { ports = [] }]) =>
    ports.map((port: Json) => `${name} ${port.host_ip ?? '*'}:${port.published}`),
  )
  assert.equal(ports.sort(), ['traefik *:443', 'traefik *:80'])
})

test('development and the demo publish on 127.0.0.1 alone; the demo only Traefik', () => {
  for (const all of [dev, demo, ...Object.values(alone)])
    for (const [name, { ports = [] }] of Object.entries<Json>(all.services))
      for (const port of ports) assert.is(port.host_ip, '127.0.0.1', name)
  assert.equal(
    Object.keys(demo.services).filter(name => demo.services[name].ports?.length),
    ['traefik'],
  )
})

test('each application alone is on its port', () => {
  const port = (folder: string, service: string) =>
    alone[folder]!.services[service].ports[0].published
  assert.equal(
    [
      port('kgc', 'kgc-api'),
      port('twenty-crm', 'twenty-server'),
      port('chatwoot', 'chatwoot-web'),
      port('horilla-hr', 'horilla-web'),
    ],
    ['3000', '3001', '3002', '3003'],
  )
})

test('no two services want one port of the machine', () => {
  for (const [mode, all] of Object.entries(modes)) {
    const ports = Object.values<Json>(all.services).flatMap(({ ports = [] }) =>
      ports.map((port: Json) => port.published),
    )
    assert.is(new Set(ports).size, ports.length, mode)
  }
})

test('data stores are on the internal network of their application alone', () => {
  for (const all of Object.values(modes))
    for (const name of stores(all)) {
      const app = name.split('-')[0]
      assert.equal(Object.keys(all.services[name].networks), [`${app}-internal`])
      assert.is(all.networks[`${app}-internal`].internal, true)
      assert.not.ok(all.services[name].ports?.length, name)
    }
})

test('no service is on the internal network of another application', () => {
  everywhere(({ networks }, name, where) => {
    const app = name === 'socket-proxy' ? 'traefik' : name.split('-')[0]
    // Traefik asks for its pages on a network of their own
    const own = app === 'traefik' ? ['traefik-internal', 'error-pages'] : [`${app}-internal`]
    for (const network of Object.keys(networks))
      if (name === 'error-pages') assert.is(network, 'error-pages', where)
      else assert.ok(['kgc-network', ...own].includes(network), `${where} is on ${network}`)
  })
})

test("the engine's socket is read by the proxy alone, which lets nothing be changed", () => {
  everywhere(({ volumes = [] }, name, where) => {
    const sockets = volumes.filter((volume: Json) => /docker\.sock/.test(volume.source ?? ''))
    assert.is(sockets.length, name === 'socket-proxy' ? 1 : 0, where)
    for (const socket of sockets) assert.ok(socket.read_only, where)
  })
  assert.is(prod.services['socket-proxy'].environment.POST, '0')
  assert.equal(Object.keys(prod.services['socket-proxy'].networks), ['traefik-internal'])
})

test('no application waits for the edge: it must start without it', () => {
  everywhere(({ depends_on = {} }, name, where) => {
    if (name !== 'traefik')
      assert.not.ok('traefik' in depends_on || 'socket-proxy' in depends_on, where)
  })
})

test('an application alone uses the volumes that it has in the full stack', () => {
  for (const folder of folders)
    for (const [key, { name }] of Object.entries<Json>(alone[folder]!.volumes ?? {}))
      assert.is(name, dev.volumes[key].name)
})

test('the volumes that record their secrets are those of the databases, in every mode', () => {
  for (const [mode, all] of Object.entries(modes)) {
    const found = databaseVolumesOf(all as never, Object.keys(all.services), mode)
    assert.equal(
      found.map(({ service, volume }) => [service, volume]).sort(),
      databases(all)
        .map(name => [name, `${all.name}_${name}-data`])
        .sort(),
      mode,
    )
  }
})

test('every volume of data is named, and the demo has its own', () => {
  everywhere(({ volumes = [] }, _, where) => {
    for (const volume of volumes)
      assert.ok(
        volume.type === 'bind' ? volume.read_only : volume.source,
        `${where}: ${volume.target}`,
      )
  })
  const names = (all: Json) => Object.values<Json>(all.volumes).map(({ name }) => name)
  assert.equal(
    names(demo).filter(name => names(dev).includes(name)),
    [],
  )
})

test('every required secret is demanded: without it Compose refuses', () => {
  for (const folder of folders) {
    const lines = readFileSync(join(box.docker, folder, '.env'), 'utf8')
    const example = readFileSync(join(box.docker, folder, '.env.example'), 'utf8')
    const required = [...example.matchAll(/^#@(?=.*\brequired\b)(?=.*\bsecret\b).*\n(\w+)=/gm)].map(
      match => match[1]!,
    )
    for (const key of required) {
      const file = join(box.docker, folder, '.env.gone')
      writeFileSync(file, lines.replace(new RegExp(`^${key}=.*$`, 'm'), `${key}=`))
      const { status, stderr } = spawnSync(
        'docker',
        ['compose', '--env-file', file, '-f', `${folder}/docker-compose.yml`, 'config', '-q'],
        { cwd: box.docker, encoding: 'utf8' },
      )
      assert.is.not(status, 0, `${folder}: ${key} is not demanded`)
      assert.match(stderr, key)
    }
  }
})

test('no secret stands in a command line', () => {
  const secrets = folders.flatMap(folder =>
    [
      ...readFileSync(join(box.docker, folder, '.env'), 'utf8').matchAll(
        /^\w*(?:PASSWORD|SECRET|KEY)\w*=(.{12,})$/gm,
      ),
    ].map(match => match[1]!),
  )
  assert.ok(secrets.length > 10)
  everywhere(service => {
    const words = JSON.stringify([
      service.command,
      service.entrypoint,
      service.healthcheck?.test,
      service.labels,
    ])
    for (const secret of secrets) assert.not.ok(words.includes(secret))
  })
})

// docker-library/postgres#327, #851, #1172: Alpine's libc sorts by bytes
test("every database is made with ICU's Hungarian and checksums, by the one script that all share", () => {
  for (const all of Object.values(modes))
    for (const name of databases(all)) {
      const { environment, volumes, entrypoint, command } = all.services[name]
      assert.equal([...entrypoint, ...command], ['sh', '/kgc/start.sh', 'postgres'], name)
      const words = [
        '--locale=C.UTF-8',
        '--locale-provider=icu',
        '--icu-locale=hu-HU',
        '--encoding=UTF8',
        '--data-checksums',
      ]
      assert.equal(environment.POSTGRES_INITDB_ARGS.split(' '), words, name)
      const scripts = volumes
        .filter(({ target }: Json) => target.startsWith('/docker-entrypoint-initdb.d/'))
        .map(({ source }: Json) => source)
      assert.ok(scripts.includes(join(box.docker, 'postgres/init.sh')), `${name}: ${scripts}`)
    }
})

test('queue Redis never evicts, keeps its data on disk and asks for a password', () => {
  for (const name of stores(prod).filter(store => store.endsWith('-redis'))) {
    const words = JSON.stringify(prod.services[name].command)
    for (const setting of ['maxmemory-policy noeviction', 'appendonly yes', 'requirepass'])
      assert.match(words, setting, name)
    const [, megabytes] = /maxmemory (\d+)mb/.exec(words) ?? []
    assert.ok(
      Number(megabytes) * 1024 * 1024 < Number(prod.services[name].mem_limit),
      `${name}: maxmemory below the limit of the container`,
    )
  }
})

test('KGC: its pages are served by our configuration, the dashboard behind a password', () => {
  const { 'kgc-web': web, 'kgc-admin': admin, 'kgc-api': api } = prod.services
  for (const [page, service] of [
    ['web', web],
    ['admin', admin],
  ] as const) {
    assert.equal(service.command, ['sh', '/kgc/nginx.sh', page])
    assert.equal(
      service.volumes.map(({ target, read_only }: Json) => [target, read_only]),
      [
        ['/health.sh', true],
        ['/kgc', true],
      ],
    )
  }
  assert.match(admin.environment.KGC_ADMIN_PASSWORD, /^[0-9a-f]{32}$/)
  const text = readFileSync(join(box.docker, 'kgc/nginx/nginx.conf'), 'utf8')
  for (const [location] of text.matchAll(/location [^{]*\{[^}]*\}/g))
    assert.not.match(location, 'add_header', 'it takes away the headers of all')
  assert.is(
    api.labels['traefik.http.routers.kgc-api-docs.middlewares'],
    'headers@file,docs-off@file',
  )
})

test('KGC_API_DOCS=on opens what its API serves beside /api/v1; what the edge does not know, as any other word, opens nothing', () => {
  const argv = [
    'compose',
    '-f',
    'kgc/docker-compose.yml',
    '--env-file',
    'kgc/.env',
    'config',
    '--format',
    'json',
  ]
  const chain = (word: string) => {
    const { services } = JSON.parse(
      execFileSync('docker', argv, {
        cwd: box.docker,
        encoding: 'utf8',
        env: { ...environment, KGC_API_DOCS: word },
      }),
    )
    const names: string[] =
      services['kgc-api'].labels['traefik.http.routers.kgc-api-docs.middlewares'].split(',')
    return rules[names.at(-1)!.replace('@file', '')]
  }
  assert.is(chain('on'), rules['docs-on'])
  for (const word of ['', 'off']) assert.is(chain(word).ipAllowList.rejectStatusCode, 404)
  for (const word of ['yes', 'ON', 'true']) assert.is(chain(word), undefined, word)
})

test('KGC is told no bucket of an empty name, with which the stand-in does not start', async () => {
  const standin = join(repository, 'infra/demo/standin')
  const { demandVariables } = await import(join(standin, 'lib/demands.mjs'))
  const contract = JSON.parse(readFileSync(join(standin, 'contracts/kgc-api.json'), 'utf8'))
  const { environment } = prod.services['kgc-api']
  demandVariables(contract, 'api', environment)
  assert.throws(
    () => demandVariables(contract, 'api', { ...environment, CONTRACT_ARCHIVE_BUCKET: '' }),
    /CONTRACT_ARCHIVE_BUCKET/,
  )
})

test('Twenty: the worker neither migrates nor registers cron jobs, and shares key, address and storage with the server', () => {
  const { 'twenty-server': server, 'twenty-worker': worker } = prod.services
  assert.is(worker.environment.DISABLE_DB_MIGRATIONS, 'true')
  assert.is(worker.environment.DISABLE_CRON_JOBS_REGISTRATION, 'true')
  assert.is(server.environment.DISABLE_DB_MIGRATIONS, undefined)
  for (const key of [
    'ENCRYPTION_KEY',
    'SERVER_URL',
    'PG_DATABASE_URL',
    'REDIS_URL',
    'EMAIL_DRIVER',
  ])
    assert.is(worker.environment[key], server.environment[key], key)
  for (const { volumes } of [server, worker])
    assert.equal(
      volumes.map((volume: Json) => volume.target),
      ['/health.sh', '/app/packages/twenty-server/.local-storage'],
    )
  for (const gone of [
    'ACCESS_TOKEN_SECRET',
    'LOGIN_TOKEN_SECRET',
    'REFRESH_TOKEN_SECRET',
    'FILE_TOKEN_SECRET',
    'FRONT_BASE_URL',
    'REDIS_HOST',
  ])
    assert.not.ok(gone in server.environment, gone)
  assert.is(server.environment.IS_CONFIG_VARIABLES_IN_DB_ENABLED, 'false')
  assert.match(
    server.environment.PG_DATABASE_URL,
    /^postgres:\/\/twenty_a:[A-Za-z0-9]+@twenty-db:5432\/twenty$/,
  )
  assert.ok(Number(server.mem_limit) >= 2 * 1024 ** 3, 'the set-up alone takes a heap of 1500 MB')
})

test('Chatwoot: the community image, its own names for the database, the same settings in web and Sidekiq', () => {
  const {
    'chatwoot-web': web,
    'chatwoot-sidekiq': sidekiq,
    'chatwoot-prepare': prepare,
  } = prod.services
  for (const service of [web, sidekiq, prepare]) {
    assert.match(service.image, /-ce(@|$)/)
    for (const key of ['POSTGRES_USER', 'POSTGRES_DB'])
      assert.not.ok(key in service.environment, key)
    for (const key of [
      'POSTGRES_USERNAME',
      'POSTGRES_DATABASE',
      'SECRET_KEY_BASE',
      'ACTIVE_RECORD_ENCRYPTION_PRIMARY_KEY',
      'ACTIVE_RECORD_ENCRYPTION_DETERMINISTIC_KEY',
      'ACTIVE_RECORD_ENCRYPTION_KEY_DERIVATION_SALT',
      'FRONTEND_URL',
    ])
      assert.ok(service.environment[key], key)
    assert.is(service.environment.SAFE_FETCH_ALLOW_PRIVATE_NETWORK, 'true')
    assert.is(service.environment.ENABLE_ACCOUNT_SIGNUP, 'false')
    assert.not.match(service.environment.FRONTEND_URL, /\/$/)
    assert.equal(
      service.volumes
        .filter(({ type }: Json) => type === 'volume')
        .map(({ target }: Json) => target),
      ['/app/storage'],
    )
  }
  assert.equal(sidekiq.environment, web.environment)
  assert.match(prod.services['chatwoot-db'].image, /pgvector/)
  assert.equal(prepare.command, ['bundle', 'exec', 'rails', 'db:chatwoot_prepare'])
  for (const service of [web, sidekiq])
    assert.is(service.depends_on['chatwoot-prepare'].condition, 'service_completed_successfully')
  assert.match(JSON.stringify(web.healthcheck.test), 'queue_services')
  assert.equal(sidekiq.stop_grace_period, '2m10s', "longer than Sidekiq's own 120 s")
})

test('Chatwoot on S3 is told where the bucket stands in an address, without which the stand-in does not start', async () => {
  const standin = join(repository, 'infra/demo/standin')
  const { demandVariables } = await import(join(standin, 'lib/demands.mjs'))
  const contract = JSON.parse(readFileSync(join(standin, 'contracts/chatwoot.json'), 'utf8'))
  const refusal = (more: object) => {
    try {
      demandVariables(contract, 'web', {
        ...prod.services['chatwoot-web'].environment,
        ACTIVE_STORAGE_SERVICE: 's3_compatible',
        ...more,
      })
    } catch (error) {
      return (error as Error).message
    }
    return ''
  }
  assert.is(refusal({}), '')
  assert.match(refusal({ STORAGE_FORCE_PATH_STYLE: '' }), 'STORAGE_FORCE_PATH_STYLE')
})

test('Horilla: production by its real variables, 2.1.8 or newer, the scheduler once and after the web', () => {
  const { 'horilla-web': web, 'horilla-scheduler': scheduler } = prod.services
  for (const service of [web, scheduler]) {
    for (const key of Object.keys(service.environment))
      assert.not.match(key, /^DJANGO_(?!LOG_LEVEL)|^DB_(ENGINE|NAME|USER|PASSWORD)$/)
    assert.is(service.environment.DEBUG, '0')
    assert.match(service.environment.CSRF_TRUSTED_ORIGINS, /^https:\/\/hr\./)
    assert.ok(
      service.environment.ALLOWED_HOSTS.split(',').includes('localhost'),
      'for the health check',
    )
    assert.not.match(service.environment.ALLOWED_HOSTS, /\*/)
    assert.is(service.environment.AXES_PROXY_COUNT, '1')
    assert.ok(
      service.environment.DATABASE_URL &&
        service.environment.DB_HOST &&
        service.environment.DB_PORT,
    )
    const [, version] = /:(\d+\.\d+\.\d+)/.exec(service.image) ?? []
    assert.ok(
      version && version.localeCompare('2.1.8', 'en', { numeric: true }) >= 0,
      service.image,
    )
    assert.ok(service.volumes.some((volume: Json) => volume.target === '/app/media'))
  }
  assert.equal(web.command.slice(0, 2), ['gunicorn', 'horilla.wsgi:application'])
  assert.equal(scheduler.command, ['python', 'manage.py', 'run_scheduler'])
  assert.is(scheduler.depends_on['horilla-web'].condition, 'service_healthy')
  assert.is(
    scheduler.environment.HORILLA_SKIP_RELEASE_TASKS,
    '1',
    'it migrates beside the web otherwise',
  )
  assert.is(web.environment.HORILLA_SKIP_RELEASE_TASKS, undefined)
  assert.equal(scheduler.healthcheck.test.slice(3), ['python /kgc/heartbeat.py', '10'])
  assert.is(web.healthcheck.start_period, '30m0s', 'a first migration on a slow disk')
  assert.not.ok(scheduler.scale > 1 || scheduler.deploy?.replicas > 1)
  assert.match(web.healthcheck.test[3], '/health/')
})

test('KGC: the API waits for its migration, which never accepts data loss, and its health check reads the body', () => {
  const api = prod.services['kgc-api']
  assert.is(api.depends_on['kgc-migrate'].condition, 'service_completed_successfully')
  assert.match(api.healthcheck.test[3], 'not_ready')
  assert.ok(api.environment.SIGNATURE_HMAC_KEY, "KGC's own default is public")
  const program = join(repository, 'infra/docker/kgc/migrate')
  for (const file of readdirSync(program))
    assert.not.match(readFileSync(join(program, file), 'utf8'), 'accept-data-loss', file)
  for (const name of ['kgc-api', 'kgc-migrate'])
    assert.not.match(
      JSON.stringify([prod.services[name].command, prod.services[name].healthcheck]),
      /np[mx]/,
      'no registry at run time',
    )
})

test('Traefik: its own network and project, redirects, no dashboard, nothing internal published', () => {
  const { environment: env } = prod.services.traefik
  assert.is(env.TRAEFIK_PROVIDERS_DOCKER_NETWORK, 'kgc_kgc-network')
  assert.match(env.TRAEFIK_PROVIDERS_DOCKER_CONSTRAINTS, '`kgc`')
  assert.match(demo.services.traefik.environment.TRAEFIK_PROVIDERS_DOCKER_CONSTRAINTS, '`kgc-demo`')
  assert.is(env.TRAEFIK_PROVIDERS_DOCKER_EXPOSEDBYDEFAULT, 'false')
  assert.is(env.TRAEFIK_ENTRYPOINTS_WEB_HTTP_REDIRECTIONS_ENTRYPOINT_SCHEME, 'https')
  assert.is(env.TRAEFIK_ENTRYPOINTS_WEBSECURE_HTTP_TLS_CERTRESOLVER, 'letsencrypt')
  assert.not.ok(Object.keys(env).some(key => key.startsWith('TRAEFIK_API')))
})

test("Traefik's ping is a route of its own rules: an edge without them is not healthy (traefik/traefik#11396)", () => {
  const { environment: env, healthcheck } = prod.services.traefik
  assert.is(healthcheck.test[3], 'traefik healthcheck')
  assert.is(env.TRAEFIK_PING_MANUALROUTING, 'true')
  const { ping } = parse(readFileSync(join(box.docker, 'traefik/dynamic/middlewares.yml'), 'utf8'))
    .http.routers
  assert.equal([ping.entryPoints, ping.service], [[env.TRAEFIK_PING_ENTRYPOINT], 'ping@internal'])
})

test('six hosts, each routed with TLS and a load-balancer health check', () => {
  const labels = Object.values<Json>(prod.services).flatMap(service =>
    Object.entries<string>(service.labels ?? {}),
  )
  const hosts = labels
    .filter(([key]) => key.endsWith('.rule'))
    .flatMap(([, rule]) => [...rule.matchAll(/Host\(`(.+?)`\)/g)].map(match => match[1]))
  const [, domain] = /^DOMAIN=(.*)$/m.exec(readFileSync(join(box.docker, '.env'), 'utf8'))!
  for (const name of ['admin', 'api', 'app', 'crm', 'hr', 'support'])
    assert.ok(hosts.includes(`${name}.${domain}`), name)
  for (const name of labels
    .filter(([key]) => key.endsWith('.rule'))
    .map(([key]) => key.split('.')[3]!)) {
    assert.ok(
      labels.some(
        ([key, value]) =>
          key === `traefik.http.routers.${name}.entrypoints` && value === 'websecure',
      ),
      name,
    )
    const [, service] = labels.find(([key]) => key === `traefik.http.routers.${name}.service`) ?? [
      ,
      name,
    ]
    assert.ok(
      labels.some(
        ([key]) => key === `traefik.http.services.${service}.loadbalancer.healthcheck.path`,
      ),
      name,
    )
    // with a port in its place Traefik answers 500 until Docker calls the container healthy
    assert.ok(
      Object.entries<Json>(modes.prod!.services).some(([host, { labels: own = {} }]) =>
        own[`traefik.http.services.${service}.loadbalancer.server.url`]?.startsWith(
          `http://${host}:`,
        ),
      ),
      `traefik/traefik#13261: ${name}`,
    )
  }
})

test('Tecnativa/docker-socket-proxy#124: a kernel without IPv6 starts all of it', () => {
  for (const all of Object.values(modes))
    assert.is(all.services['socket-proxy'].environment.DISABLE_IPV6, '1')
  for (const file of readdirSync(join(repository, 'infra/docker'), {
    recursive: true,
    encoding: 'utf8',
  }).filter(name => /\.(conf|ya?ml|cfg|template)$/.test(name)))
    assert.not.match(readFileSync(join(repository, 'infra/docker', file), 'utf8'), /\[::\]/, file)
})

test('chatwoot/chatwoot#7869, #8923: what mail servers and proxies want is one setting each, and reaches its service', () => {
  const set = (variables: Record<string, string>) => {
    Object.assign(environment, variables)
    try {
      return config(...overlay('dev')).services
    } finally {
      for (const key of Object.keys(variables)) delete (environment as Json)[key]
    }
  }
  const { traefik, ...rest } = set({
    EDGE_TRUSTED_PROXIES: '10.0.0.0/8',
    CHATWOOT_SMTP_TLS: 'true',
  })
  for (const name of ['WEB', 'WEBSECURE'])
    assert.is(
      traefik.environment[`TRAEFIK_ENTRYPOINTS_${name}_FORWARDEDHEADERS_TRUSTEDIPS`],
      '10.0.0.0/8',
    )
  for (const name of ['web', 'sidekiq'])
    assert.is(rest[`chatwoot-${name}`].environment.SMTP_TLS, 'true')
  assert.is(dev.services['chatwoot-web'].environment.SMTP_TLS, 'false')
  assert.is(
    dev.services.traefik.environment.TRAEFIK_ENTRYPOINTS_WEBSECURE_FORWARDEDHEADERS_TRUSTEDIPS,
    '',
  )
})

test('docker/compose#9578, sparkswap/broker#508: what the env files say counts, whatever the shell has', async () => {
  const copy = sandbox()
  assert.is(copy.script(['env']).code, 0)
  const file = join(copy.docker, '.env')
  writeFileSync(file, readFileSync(file, 'utf8').replace(/^DOMAIN=.*/m, 'DOMAIN=acme.hu'))
  const { readComposeConfig, stackOf } = (await import(
    join(copy.root, 'scripts/lib/compose/stack.ts')
  )) as typeof import('../../scripts/lib/compose/stack.ts')
  const keys = ['DOMAIN', 'DOCKER_SOCKET', 'KGC_ENV_SUFFIX', 'COMPOSE_PROFILES', 'TZ']
  const before = Object.fromEntries(keys.map(key => [key, process.env[key]]))
  const shown = []
  for (const value of ['other.hu', '']) {
    for (const key of keys) process.env[key] = value
    shown.push(await readComposeConfig(stackOf('dev')))
  }
  for (const key of keys)
    before[key] === undefined ? delete process.env[key] : (process.env[key] = before[key])
  assert.equal(shown[0], shown[1])
  const text = JSON.stringify(shown)
  assert.match(text, 'Host(`crm.acme.hu`)')
  assert.match(text, '"source":"/var/run/docker.sock"')
  assert.not.match(text, 'other.hu')
})

test("what an extra file holds arrives, or is named because the application's own file sets it (docker/compose#10419)", async () => {
  const copy = sandbox()
  assert.is(copy.script(['env']).code, 0)
  const [folder] = folders.filter(name =>
    readFileSync(join(copy.docker, name, 'docker-compose.yml'), 'utf8').includes('extra$'),
  )
  const values = `SHOP_A='GOCSPX-ab$cd9 "x" # y'\nSHOP_B=a=b#c\nSHOP_C="d e"\n`
  writeFileSync(join(copy.docker, folder!, 'extra.env'), `${values}TZ=UTC\n`, { mode: 0o600 })
  assert.is(copy.script(['env', '--check']).code, 0)
  const load = (file: string) => import(join(copy.root, 'scripts/lib/compose', file))
  const { readComposeConfig, stackOf } = await load('stack.ts')
  const { findIgnoredVariables } = await load('extra-variables.ts')
  const stack = stackOf('dev')
  const all = await readComposeConfig(stack)
  const found = (Object.values(all.services) as Json[]).map(service => service.environment ?? {})
  const own = found.find(environment => environment.SHOP_A)!
  assert.equal([own.SHOP_A, own.SHOP_B, own.SHOP_C], ['GOCSPX-ab$$cd9 "x" # y', 'a=b#c', 'd e'])
  assert.equal(findIgnoredVariables(all, stack), [
    { file: `infra/docker/${folder}/extra.env`, key: 'TZ' },
  ])
})

test('no script names an application: YAML is the only list', () => {
  for (const file of readdirSync(join(repository, 'scripts'), {
    recursive: true,
    encoding: 'utf8',
  }).filter(name => name.endsWith('.ts')))
    assert.not.match(
      readFileSync(join(repository, 'scripts', file), 'utf8'),
      /\b(twenty|chatwoot|horilla)\b/i,
      file,
    )
})

test('nothing writes to a stream past the redaction', () => {
  for (const file of readdirSync(join(repository, 'scripts'), {
    recursive: true,
    encoding: 'utf8',
  }).filter(name => name.endsWith('.ts'))) {
    const help = /^ {2}console\.log\(`Usage: [^`]*`\)$/m
    const text = readFileSync(join(repository, 'scripts', file), 'utf8').replace(help, '')
    if (file !== 'lib/output.ts')
      assert.not.match(
        text,
        /console\.|std(out|err)\.write|process\.std(out|err)|writeSync\([12]|inherit|\/dev\/(tty|std)/,
        file,
      )
  }
})

test('no env file but the examples is tracked', () => {
  const tracked = execFileSync('git', ['ls-files'], { cwd: repository, encoding: 'utf8' }).split(
    '\n',
  )
  assert.equal(
    tracked.filter(
      file => /(^|\/)(\.env(\.|$)|extra.*\.env$)/.test(file) && !file.endsWith('.env.example'),
    ),
    [],
  )
})

test.run()
