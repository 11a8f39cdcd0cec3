// Installs the plan's packages and plug-ins by apt.
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Failure, exit } from '../errors.ts'
import { createHeartbeat } from '../progress.ts'
import { color, say } from '../report.ts'
import { constantDelays, pollUntil } from '../retry.ts'
import { run, type RunOutput } from '../run.ts'
import { lastLineOf } from '../text.ts'

/** Where Docker's client looks for plug-ins that no package owns. */
const pluginFolder = '/usr/local/lib/docker/cli-plugins'
/** Seconds to wait for another apt: a new cloud machine upgrades itself at its first start. */
const aptLockTimeoutSeconds = 300
const noQuestions = { DEBIAN_FRONTEND: 'noninteractive', NEEDRESTART_MODE: 'l' }

/** `apt-get install`, as arguments: asks nothing, waits for other package managers. */
export const installCommand = (packages: string[]): string[] => [
  'apt-get',
  'install',
  '--yes',
  '--quiet',
  '--option',
  `DPkg::Lock::Timeout=${aptLockTimeoutSeconds}`,
  '--option',
  'Dpkg::Options::=--force-confold',
  ...packages,
]

/**
 * Installs packages; asks for fresh lists only when a package is not in those that are there, or is
 * gone from the mirror since.
 */
export async function installPackages(packages: string[]): Promise<void> {
  const argv = installCommand(packages)
  const fresh = (await candidates(packages)) < packages.length
  if (fresh) await refresh(packages)
  let output = await narrated(argv)
  if (output.code !== 0 && !fresh) {
    await refresh(packages)
    output = await narrated(argv)
  }
  if (output.code !== 0) throw broken(`Install ${packages.join(', ')}`, output, argv.join(' '))
}

/**
 * Fresh lists. A broken source of somebody else's does not matter when the packages are found all
 * the same.
 */
async function refresh(packages: string[]): Promise<void> {
  try {
    await updatePackageLists()
  } catch (error) {
    if (!(error instanceof Failure) || (await candidates(packages)) < packages.length) throw error
    say(color.yellow(`  ${error.why}; not needed here`))
  }
}

/** How many of these apt could install. */
async function candidates(packages: string[]): Promise<number> {
  const output = await run(['apt-cache', 'policy', ...packages], {
    nothrow: true,
    env: { LC_ALL: 'C' },
  })
  return output.stdout.split('\n').filter(line => /^ {2}Candidate: (?!\(none\))/.test(line)).length
}

/** `apt-get update`. Its lock has no time-out of apt's own. */
export async function updatePackageLists(options: string[] = []): Promise<void> {
  const argv = ['apt-get', ...options, 'update', '--quiet']
  const output = await pollUntil(
    () => narrated(argv),
    ({ code, stderr }) => code === 0 || !/Could not get lock/.test(stderr),
    constantDelays(2_000, aptLockTimeoutSeconds * 1000),
  )
  if (output.code !== 0) throw broken('Read the package lists', output, 'apt-get update')
}

/**
 * apt with sources and lists of its own in `folder`: the machine's own are neither read nor left
 * changed.
 */
export const isolatedAptOptions = (folder: string): string[] =>
  [
    `Dir::Etc::SourceList=${folder}/sources.list`,
    'Dir::Etc::SourceParts=/dev/null',
    'Dir::Etc::Preferences=/dev/null',
    'Dir::Etc::PreferencesParts=/dev/null',
    `Dir::State::Lists=${folder}/lists`,
    `Dir::Cache=${folder}/cache`,
    'Acquire::Languages=none',
    'Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false',
    'APT::Sandbox::User=root',
  ].flatMap(option => ['--option', option])

/** What unpacks plug-ins of downloaded packages to `target`, run in the folder that has them. */
export const unpackCommands = (plugins: string[], target: string): string[][] => [
  ['sh', '-c', 'for deb in ./*.deb; do dpkg-deb --extract "$deb" . || exit; done'],
  [
    'install',
    '-D',
    '-m',
    '755',
    '-t',
    target,
    ...plugins.map(name => `usr/libexec/docker/cli-plugins/docker-${name}`),
  ],
]

/**
 * Installs client plug-ins of Debian 13 on Debian 12: they are one static file each. Only the files
 * are taken; no source of another release is left behind, for apt would offer to upgrade the
 * machine from it.
 */
export async function installPlugins(plugins: string[], target = pluginFolder): Promise<void> {
  const what = `Install the plug-ins ${plugins.join(' and ')}`
  const mirror = (await debianMirror()) || (await updatePackageLists().then(() => debianMirror()))
  if (!mirror)
    throw new Failure(exit.broken, what, 'apt has no Debian repository among its sources', {
      next: 'https://docs.docker.com/compose/install/linux/',
    })
  const folder = await mkdtemp(join(tmpdir(), 'kgc-plugins-'))
  try {
    await chmod(folder, 0o755)
    await mkdir(join(folder, 'lists/partial'), { recursive: true })
    await writeFile(
      join(folder, 'sources.list'),
      `deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${mirror} trixie main\n`,
    )
    await updatePackageLists(isolatedAptOptions(folder))
    const download = await narrated(
      [
        'apt-get',
        ...isolatedAptOptions(folder),
        'download',
        '--quiet',
        ...plugins.map(name => `docker-${name}`),
      ],
      folder,
    )
    if (download.code !== 0) throw broken(what, download, 'the same command again')
    for (const argv of unpackCommands(plugins, target)) await run(argv, { what, cwd: folder })
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** The Debian mirror that this machine's own sources name, once its lists have been read. */
async function debianMirror(): Promise<string> {
  const output = await run(
    ['apt-get', 'indextargets', '--format', '$(REPO_URI)', 'Origin: Debian', 'Label: Debian'],
    { nothrow: true },
  )
  return output.stdout.split('\n')[0]?.replace(/\/$/, '') ?? ''
}

/** Runs apt without a question, with a heartbeat, and says when it waits for another. */
async function narrated(argv: string[], cwd?: string): Promise<RunOutput> {
  let last = ''
  const beat = createHeartbeat(Date.now())
  const timer = setInterval(() => beat(() => last.slice(0, 120)), 1_000)
  let held = ''
  const onOutput = (text: string) => {
    last = lastLineOf(text) || last
    const lock = /Could not get lock.*/.exec(text)?.[0] ?? ''
    if (lock && lock !== held)
      say(color.dim(`  waiting, up to ${aptLockTimeoutSeconds} s: ${(held = lock).slice(0, 160)}`))
  }
  return run(argv, { nothrow: true, env: noQuestions, onOutput, ...(cwd ? { cwd } : {}) }).finally(
    () => clearInterval(timer),
  )
}

const broken = (what: string, output: RunOutput, next: string): Failure => {
  const lines = `${output.stdout}\n${output.stderr}`.trim().split('\n')
  const why = lines.findLast(line => /^E: /.test(line)) ?? `apt-get ended with ${output.code}`
  return new Failure(exit.broken, what, why, { evidence: lines.slice(-15).join('\n'), next })
}
