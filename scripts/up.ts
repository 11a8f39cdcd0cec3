// Starts a stack on this machine and waits until every service is truly ready.
// Usage: npx zx scripts/up.ts [mode] [folder or service …]
// Exit codes: 0 2 3 6 7 130
import { parseArgs } from 'node:util'
import { given, wantsHelp } from './lib/arguments.ts'
import { exit, exitHelp } from './lib/errors.ts'

if (wantsHelp()) {
  console.log(`Usage: npx zx scripts/up.ts [mode] [folder or service …]

Starts a stack and waits until every service is healthy and stays up. A second run changes nothing.
  mode            dev (default), prod or demo: infra/docker/docker-compose.<mode>.yml
  folder          start only these (a folder of infra/docker or a service) and what they depend on
  -f, --file F    a further Compose file
  --timeout S     seconds to wait at the most (default 2400: a first start may take half an hour)
  --json          NDJSON events on stdout

${exitHelp(0, 2, 3, 6, 7, 130)}`)
  process.exit(exit.done)
}

const { Failure } = await import('./lib/errors.ts')
const { resolve } = await import('node:path')
const { allContainers, byService, requireEngine } = await import('./lib/compose/containers.ts')
const { emit, jsonOutput, main, result, step, table } = await import('./lib/report.ts')
const { addresses } = await import('./lib/compose/addresses.ts')
const { config, modes, select, stackOf } = await import('./lib/compose/compose.ts')
const { withinCpus } = await import('./lib/compose/cpus.ts')
const { check } = await import('./lib/env/check.ts')
const { requireCompose } = await import('./lib/engine/versions.ts')
const { loadEnvironment } = await import('./lib/env/env.ts')
const { provideImages } = await import('./lib/images/provide.ts')
const { root } = await import('./lib/repository.ts')
const { refuseOtherOwner } = await import('./lib/compose/ownership.ts')
const { refuseClosedMounts } = await import('./lib/compose/mounts.ts')
const { takenPorts } = await import('./lib/compose/ports.ts')
const { findStores, recordSecrets, refuseMisfits } = await import('./lib/compose/volume-fit.ts')
const { oldVolumes, refuseOldVolumes } = await import('./lib/compose/volume-layout.ts')
const { storesOf } = await import('./lib/compose/volume-secrets.ts')
const { expectations } = await import('./lib/compose/wanted.ts')
const { start, wake } = await import('./lib/compose/start.ts')

await main(async () => {
  const options = {
    json: { type: 'boolean' },
    file: { type: 'string', short: 'f', multiple: true },
    timeout: { type: 'string' },
  } as const
  const { values, positionals } = parseArgs({ args: given(), allowPositionals: true, options })
  jsonOutput(Boolean(values.json))
  const timeout = Number(values.timeout ?? 2400) * 1000
  if (!(timeout > 0)) throw new Failure(exit.usage, 'Read the arguments', '--timeout wants seconds')
  const mode = positionals[0] && modes().includes(positionals[0]) ? positionals.shift()! : 'dev'
  const asked = stackOf(
    mode,
    (values.file ?? []).map(file => resolve(file)),
  )
  const environment = asked.suffix.slice(1)
  // what it knows as secret is never printed, not even from a log
  loadEnvironment(root, environment, true)

  // Pre-flight: nothing is touched.
  refuseOutdated()
  await requireEngine()
  await requireCompose()
  const all = await config(asked)
  const stack = await withinCpus(asked, all)
  const services = await select(stack, all, positionals)
  const before = await allContainers(stack.project)
  const what = `Start ${stack.project}`
  refuseOtherOwner(stack, byService(before), what, folder =>
    stack.suffix
      ? `make -C ${folder} ${mode}-down`
      : `make -C ${folder} down   (its data stays; its env files are needed here)`,
  )
  await refuseTakenPorts()
  await provideImages(stack, all, services)
  await refuseClosedMounts(all, services, what)
  const seen = byService(before)
  const [old, stores] = await Promise.all([
    oldVolumes(storesOf(all, services, environment), seen),
    findStores(stack, all, services, seen),
  ])
  refuseOldVolumes(stack, old, what)
  refuseMisfits(stack, stores, what)
  const expected = await expectations(stack === asked ? all : await config(stack), services)

  // Impact.
  const since = Date.now()
  await wake(before, expected)
  const argv = positionals.length ? services : ['--remove-orphans']
  const verdicts = await step(`Start ${services.length} services of ${stack.project}`, () =>
    start({ stack, all, expected, before, since, timeout }, argv, what),
  )

  await recordSecrets(stack, stores)

  // Result.
  const port =
    Object.values(all.services)
      .flatMap(({ ports }) => ports ?? [])
      .find(({ target }) => target === 8443)?.published ?? '443'
  const urls = addresses(all, port).filter(({ service }) => services.includes(service))
  emit('result', {
    project: stack.project,
    ready: verdicts.map(({ service }) => service),
    addresses: urls,
  })
  result(table([['service', 'address'], ...urls.map(({ service, url }) => [service, url])]))

  // a pin that has moved is not what would run; whole files that are missing are said below
  function refuseOutdated() {
    const old = check(root, environment).filter(({ outdated }) => outdated)
    if (!old.length) return
    const evidence = old.map(({ file, key, problem }) => `${file}: ${key} ${problem}`).join('\n')
    const next = environment ? `npx zx scripts/env.ts ${environment}` : 'make env'
    throw new Failure(exit.usage, 'Read the env files', 'they are older than their examples', {
      evidence,
      next,
    })
  }

  async function refuseTakenPorts() {
    const taken = await takenPorts(all, services, before)
    if (!taken.length) return
    const words = taken.map(
      ({ service, port, by }) => `${port} (${service}) is held by ${by || 'another process'}`,
    )
    throw new Failure(exit.refused, 'Take the ports', words.join('; '), {
      next: 'stop it, or choose other ports in the env files',
    })
  }
})
