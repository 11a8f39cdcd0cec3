// Installs what this machine misses, or (--doctor) says all that is wrong with it and with a stack.
// Usage: npx zx scripts/bootstrap.ts [--demo] [--yes] | --doctor [--cluster] [--environment NAME]
// Exit codes: 0 2 3 6 7 130
import { parseArgs } from 'node:util'
import { readScriptArguments, wantsHelp } from './lib/arguments.ts'
import { exit, exitHelp } from './lib/errors.ts'

if (wantsHelp()) {
  console.log(`Usage: npx zx scripts/bootstrap.ts [--demo] [--yes] [--plan]
       npx zx scripts/bootstrap.ts --doctor [--environment dev|prod|demo]
       npx zx scripts/bootstrap.ts --doctor --cluster [--environment demo|staging|production]

Installs Docker Engine, Compose v2 and buildx where they are missing, and starts the engine. For Debian 12 and newer and Ubuntu 22.04
and newer, as root; elsewhere it touches nothing and says what to do. A second run changes nothing.
  --demo              also what the demo needs to build its images where no image registry answers
  --yes               does not ask. Without a terminal it never asks: it says what it does and does it.
  --plan              says what it would do and does nothing

  --doctor            reads only: machine, engine, env files, images, containers, volumes, certificates; what is wrong and what mends it
  --environment E     the stack to look at: dev (default), prod or demo
  --cluster           looks at the Kubernetes cluster of an environment instead: what it lacks, and what this user may not do;
                      without --environment at that of kubectl's current context
  --json              NDJSON events on stdout

${exitHelp(0, 2, 3, 6, 7, 130)}
With --doctor: 0 when nothing is wrong, 3 when anything is an error or a warning.`)
  process.exit(exit.done)
}

const { Failure } = await import('./lib/errors.ts')
const { askQuestion } = await import('./lib/prompt.ts')
const { color, emit, setJsonOutput, main, printResult, say, step, table } =
  await import('./lib/report.ts')

// `su` without `-` leaves these out, and apt and dockerd need them
process.env.PATH = `${process.env.PATH ?? ''}:/usr/local/sbin:/usr/sbin:/sbin`

const flag = { type: 'boolean' } as const
const options = {
  json: flag,
  yes: { ...flag, short: 'y' },
  plan: flag,
  demo: flag,
  doctor: flag,
  cluster: flag,
  environment: { type: 'string', short: 'e' },
} as const
type BootstrapOptions = ReturnType<typeof parseArgs<{ options: typeof options }>>['values']

await main(async () => {
  const { values } = parseArgs({ args: readScriptArguments(), options })
  setJsonOutput(Boolean(values.json))
  if ((values.environment || values.cluster) && !values.doctor)
    throw new Failure(
      exit.usage,
      'Read the arguments',
      '--environment and --cluster go with --doctor',
    )
  if (values.cluster) {
    const { findings, name } = await (
      await import('./lib/doctor/cluster-facts.ts')
    ).examineCluster(values.environment)
    return reportFindings(findings, name)
  }
  if (!values.doctor) return installMissing(values)
  const environment = values.environment ?? 'dev'
  return reportFindings(
    await (await import('./lib/doctor/doctor.ts')).examineMachine(environment),
    environment,
  )
})

async function installMissing(values: BootstrapOptions) {
  const { inspectMachine } = await import('./lib/engine/engine.ts')
  const { describeInstallPlan, planInstall } = await import('./lib/engine/install-plan.ts')

  // Pre-flight: nothing is touched.
  const before = await inspectMachine()
  const todo = planInstall(
    before,
    Boolean(values.demo) && !before.mmdebstrap && (await isBaseBuiltLocally()),
  )
  const words = describeInstallPlan(todo)
  emit('plan', { ...todo })
  if (values.plan || !words.length)
    return finish(before, values.plan && words.length ? `Would ${words.join(', ')}.` : '')
  await confirmInstall(words.join(', '), Boolean(values.yes))

  // Impact.
  const { installPackages, installPlugins } = await import('./lib/engine/apt.ts')
  if (todo.packages.length)
    await step(`Install ${todo.packages.join(', ')}`, () => installPackages(todo.packages))
  if (todo.plugins.length)
    await step(`Install the plug-ins ${todo.plugins.join(' and ')}`, () =>
      installPlugins(todo.plugins),
    )
  const installed = await inspectMachine()
  if (!installed.engine)
    await step('Start the Docker engine', async () =>
      (await import('./lib/engine/start.ts')).startEngine(installed.init),
    )

  // Result: looked at afresh, for a package may bring less than was hoped for.
  const after = await inspectMachine()
  try {
    const left = describeInstallPlan(planInstall(after))
    if (left.length)
      throw new Failure(
        exit.broken,
        'Prepare the machine',
        `after all that it would still ${left.join(', ')}`,
        { next: 'docker info' },
      )
  } catch (error) {
    throw error instanceof Failure ? new Failure(exit.broken, error.what, error.why, error) : error
  }
  if (process.env.SUDO_USER)
    say(
      `To use Docker without sudo, which equals root on this machine: usermod -aG docker ${process.env.SUDO_USER}`,
    )
  finish(after, '')

  function finish({ engine, compose, buildx }: typeof before, text: string) {
    const versions = { engine, compose: compose?.version, buildx: buildx?.version }
    emit('result', { changed: !values.plan && words.length > 0, ...versions })
    printResult(
      text ||
        `Docker Engine ${engine}, Compose ${versions.compose}, buildx ${versions.buildx}${words.length ? ': ready.' : ': nothing to do.'}`,
    )
  }
}

/**
 * Whether the demo's base image is not here and no registry has it to give
 * (infra/demo/base/build.sh).
 */
async function isBaseBuiltLocally(): Promise<boolean> {
  const { run } = await import('./lib/run.ts')
  const { isRegistryReachable, registryHostOf } = await import('./lib/images/registry/client.ts')
  const here = await run(['docker', 'image', 'inspect', 'kgc-demo/base:trixie'], {
    nothrow: true,
    timeout: 10_000,
  })
  return here.code !== 0 && !(await isRegistryReachable(registryHostOf('debian')))
}

async function confirmInstall(words: string, yes: boolean) {
  if (!process.stdin.isTTY || yes) return say(`This will ${words}.`)
  const answer = await askQuestion(`This will ${words}. Go on? [Y/n] `)
  if (!/^(y|yes|)$/i.test(answer ?? 'no'))
    throw new Failure(exit.refused, 'Prepare the machine', 'not confirmed')
}

function reportFindings(
  findings: import('./lib/doctor/finding.ts').Finding[],
  environment: string,
) {
  const count = (severity: string) => findings.filter(one => one.severity === severity).length
  for (const one of findings) emit('finding', one)
  emit('result', {
    environment,
    errors: count('error'),
    warnings: count('warning'),
    information: count('info'),
  })
  const symbols = { error: '✘', warning: '!', info: '·' }
  const rows = findings.flatMap(({ area, severity, what, next }) => [
    [symbols[severity], area, what],
    ...(next ? [['', '', `→ ${next}`]] : []),
  ])
  printResult(table([['', 'area', environment], ...rows]))
  const wrong = count('error') + count('warning')
  say(
    wrong
      ? color.red(`errors: ${count('error')}, warnings: ${count('warning')}`)
      : color.green('Nothing is wrong.'),
  )
  return wrong ? exit.refused : exit.done
}
