// Starts a stack on this machine and waits until every service is truly ready.
// Usage: npx zx scripts/up.ts [mode] [folder or service …]
// Exit codes: 0 2 3 6 7 130
import { parseArgs } from 'node:util'
import { readScriptArguments, wantsHelp } from './lib/arguments.ts'
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
const { listContainers, containersByService, requireEngine } =
  await import('./lib/compose/containers.ts')
const { emit, setJsonOutput, main, printResult, step, table } = await import('./lib/report.ts')
const { publicAddresses } = await import('./lib/compose/addresses.ts')
const { readComposeConfig, stackModes, selectServices, stackOf } =
  await import('./lib/compose/stack.ts')
const { fitCpuLimits } = await import('./lib/compose/cpus.ts')
const { checkEnvFiles } = await import('./lib/env/check.ts')
const { requireCompose } = await import('./lib/engine/versions.ts')
const { loadEnvValues } = await import('./lib/env/files.ts')
const { pullOrBuildImages } = await import('./lib/images/pull-or-build.ts')
const { root } = await import('./lib/repository.ts')
const { refuseOtherOwner } = await import('./lib/compose/ownership.ts')
const { requireReadableMounts } = await import('./lib/compose/mounts.ts')
const { findTakenPorts } = await import('./lib/compose/ports.ts')
const { checkVolumeSecrets, recordSecrets, requireMatchingSecrets } =
  await import('./lib/compose/volumes/check.ts')
const { findOldVolumes, refuseOldVolumes } = await import('./lib/compose/volumes/layout.ts')
const { databaseVolumesOf } = await import('./lib/compose/volumes/secrets.ts')
const { expectedServices } = await import('./lib/compose/expected-services.ts')
const { startServices, startStopped } = await import('./lib/compose/start.ts')

await main(async () => {
  const options = {
    json: { type: 'boolean' },
    file: { type: 'string', short: 'f', multiple: true },
    timeout: { type: 'string' },
  } as const
  const { values, positionals } = parseArgs({
    args: readScriptArguments(),
    allowPositionals: true,
    options,
  })
  setJsonOutput(Boolean(values.json))
  const timeout = Number(values.timeout ?? 2400) * 1000
  if (!(timeout > 0)) throw new Failure(exit.usage, 'Read the arguments', '--timeout wants seconds')
  const mode =
    positionals[0] && stackModes().includes(positionals[0]) ? positionals.shift()! : 'dev'
  const asked = stackOf(
    mode,
    (values.file ?? []).map(file => resolve(file)),
  )
  const environment = asked.suffix.slice(1)
  // what it knows as secret is never printed, not even from a log
  loadEnvValues(root, environment, true)

  // Pre-flight: nothing is touched.
  refuseOutdated()
  await requireEngine()
  await requireCompose()
  const all = await readComposeConfig(asked)
  const stack = await fitCpuLimits(asked, all)
  const services = await selectServices(stack, all, positionals)
  const before = await listContainers(stack.project)
  const what = `Start ${stack.project}`
  refuseOtherOwner(stack, containersByService(before), what, folder =>
    stack.suffix
      ? `make -C ${folder} ${mode}-down`
      : `make -C ${folder} down   (its data stays; its env files are needed here)`,
  )
  await refuseTakenPorts()
  await pullOrBuildImages(stack, all, services)
  await requireReadableMounts(all, services, what)
  const seen = containersByService(before)
  const [old, stores] = await Promise.all([
    findOldVolumes(databaseVolumesOf(all, services, environment), seen),
    checkVolumeSecrets(stack, all, services, seen),
  ])
  refuseOldVolumes(stack, old, what)
  requireMatchingSecrets(stack, stores, what)
  const expected = await expectedServices(
    stack === asked ? all : await readComposeConfig(stack),
    services,
  )

  // Impact.
  const since = Date.now()
  await startStopped(before, expected)
  const argv = positionals.length ? services : ['--remove-orphans']
  const verdicts = await step(`Start ${services.length} services of ${stack.project}`, () =>
    startServices({ stack, all, expected, before, since, timeout }, argv, what),
  )

  await recordSecrets(stack, stores)

  // Result.
  const port =
    Object.values(all.services)
      .flatMap(({ ports }) => ports ?? [])
      .find(({ target }) => target === 8443)?.published ?? '443'
  const urls = publicAddresses(all, port).filter(({ service }) => services.includes(service))
  emit('result', {
    project: stack.project,
    ready: verdicts.map(({ service }) => service),
    addresses: urls,
  })
  printResult(table([['service', 'address'], ...urls.map(({ service, url }) => [service, url])]))

  // a pin that has moved is not what would run; whole files that are missing are said below
  function refuseOutdated() {
    const old = checkEnvFiles(root, environment).filter(({ outdated }) => outdated)
    if (!old.length) return
    const evidence = old.map(({ file, key, problem }) => `${file}: ${key} ${problem}`).join('\n')
    const next = environment ? `npx zx scripts/env.ts ${environment}` : 'make env'
    throw new Failure(exit.usage, 'Read the env files', 'they are older than their examples', {
      evidence,
      next,
    })
  }

  async function refuseTakenPorts() {
    const taken = await findTakenPorts(all, services, before)
    if (!taken.length) return
    const words = taken.map(
      ({ service, port, by }) => `${port} (${service}) is held by ${by || 'another process'}`,
    )
    throw new Failure(exit.refused, 'Take the ports', words.join('; '), {
      next: 'stop it, or choose other ports in the env files',
    })
  }
})
