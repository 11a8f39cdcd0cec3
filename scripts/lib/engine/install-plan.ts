// What a machine needs, decided from what was found on it. Pure.
import { Failure, exit } from '../errors.ts'
import type { Machine } from './engine.ts'
import { root } from '../repository.ts'
import { findUnsupportedParts } from './versions.ts'

export interface InstallPlan {
  /** Installed by apt. */
  packages: string[]
  /**
   * Client plug-ins taken out of the next Debian's packages: Debian 12 has Compose v1 only, and no
   * buildx.
   */
  plugins: ('compose' | 'buildx')[]
  start: boolean
}

type Family = 'debian12' | 'debian' | 'ubuntu'
const manual = 'https://docs.docker.com/engine/install/'
const mac = 'https://docs.docker.com/desktop/setup/install/mac-install/'
const local = 'unix:///var/run/docker.sock'

export const snapProblem =
  'Docker is a snap here: it cannot mount files outside of /home, and its plug-ins are read-only'
export const removeSnap =
  "snap remove docker && make bootstrap   (the snap's containers and volumes go with it)"

/**
 * The plan for a machine; empty when it has everything. `base`: the demo's base image must be made
 * here, which takes mmdebstrap.
 * Throws Failure (refused) where nothing may or can be done, saying what a person can do.
 */
export function planInstall(machine: Machine, base = false): InstallPlan {
  const what = 'Prepare the machine'
  const refuse = (why: string, next: string, evidence?: string) =>
    new Failure(exit.refused, what, why, { next, evidence })
  if (machine.podman)
    throw refuse(
      '`docker` is Podman here; the stack was never run on it',
      'apt-get remove podman-docker, then the same command again',
    )
  if (machine.snap && !root.startsWith('/home/')) throw refuse(snapProblem, removeSnap)
  const [first] = findUnsupportedParts(machine)
  if (first) throw refuse(first.why, first.remedy, machine.silence)

  const missing = missingParts(machine, base)
  if (!missing.length) return { packages: [], plugins: [], start: false }
  const words = `missing: ${missing.join(', ')}`
  if (machine.platform === 'darwin')
    throw refuse(words, machine.client ? 'open -a Docker' : `install Docker Desktop: ${mac}`)
  const elsewhere = !machine.engine && engineElsewhere(machine)
  if (elsewhere)
    throw refuse(
      `the client is set to the engine at ${elsewhere}, which does not answer`,
      'unset DOCKER_HOST; docker context use default',
      machine.silence,
    )
  if (/permission denied/i.test(machine.silence ?? ''))
    throw refuse(
      'this user may not use the engine',
      'sudo usermod -aG docker "$USER", then log in again',
      machine.silence,
    )
  const family = familyOf(machine.os)
  if (machine.platform !== 'linux' || !machine.apt || !family) {
    const stopped = missing.length === 1 && machine.dockerd && machine.init === 'systemd'
    const name = machine.os.PRETTY_NAME ?? machine.platform
    const where = `this script installs on Debian 12 and newer and Ubuntu 22.04 and newer, not on ${name}`
    throw refuse(`${words}; ${where}`, stopped ? 'sudo systemctl enable --now docker' : manual)
  }
  const it = { ...parts(machine, family, base), start: !machine.engine }
  // sudo's own PATH does not lead to every Node
  const command = base ? 'npx zx scripts/bootstrap.ts --demo' : 'make bootstrap'
  if (!machine.root)
    throw refuse(
      `${words}; this needs root`,
      `sudo env "PATH=$PATH" ${command}`,
      `It would ${describeInstallPlan(it).join(', ')}.`,
    )
  return it
}

/** What is not there, in words. */
function missingParts(machine: Machine, base: boolean): string[] {
  const list: [boolean, string][] = [
    [!machine.client, 'the docker command'],
    [!machine.engine, machine.dockerd ? 'a running Docker engine' : 'Docker Engine'],
    [!machine.compose, 'Docker Compose v2'],
    [!machine.buildx, 'Docker buildx'],
    [base && !machine.mmdebstrap, 'mmdebstrap'],
  ]
  return list.filter(([is]) => is).map(([, name]) => name)
}

/** The address of an engine other than this machine's own that the client is set to. */
function engineElsewhere({ host, silence, client }: Machine): string {
  const address =
    host || (client ? (/\bat (\w+:\/\/[^\s;]+?)[.;:]?\s/.exec(silence ?? '')?.[1] ?? '') : '')
  return address.replace('unix:///run/', 'unix:///var/run/') === local ? '' : address
}

/**
 * Which distribution's packages fit; undefined for none. A derivative counts as what it says it is
 * like.
 */
function familyOf(os: Record<string, string>): Family | undefined {
  const ids = [os.ID ?? '', ...(os.ID_LIKE ?? '').split(' ')]
  const version = os.VERSION_ID ? Number(os.VERSION_ID) : Infinity
  if (ids.includes('ubuntu')) return os.ID === 'ubuntu' && version < 22.04 ? undefined : 'ubuntu'
  if (!ids.includes('debian') || (os.ID === 'debian' && version < 12)) return undefined
  return (os.DEBIAN_CODENAME ?? os.VERSION_CODENAME) === 'bookworm' ? 'debian12' : 'debian'
}

/** The package that brings the command `docker`. */
function clientPackage({ vendor }: Machine, family: Family): string {
  if (vendor) return 'docker-ce-cli'
  return family === 'debian' ? 'docker-cli' : 'docker.io'
}

function parts(machine: Machine, family: Family, base: boolean): Omit<InstallPlan, 'start'> {
  const packages = new Set<string>()
  const plugins: InstallPlan['plugins'] = []
  if (!machine.engine && !machine.dockerd) packages.add('docker.io')
  if (!machine.client) packages.add(clientPackage(machine, family))
  // an engine that was put there by hand does not bring it, and does not start without it
  if (!machine.engine && !machine.iptables) packages.add('iptables')
  for (const name of ['compose', 'buildx'] as const) {
    if (machine[name]) continue
    if (machine.vendor) packages.add(`docker-${name}-plugin`)
    else if (family === 'debian12') plugins.push(name)
    else
      packages.add(
        family === 'ubuntu' && name === 'compose' ? 'docker-compose-v2' : `docker-${name}`,
      )
  }
  if (base && !machine.mmdebstrap) packages.add('mmdebstrap').add('debian-archive-keyring')
  return { packages: [...packages], plugins }
}

/** A plan as a person reads it. */
export function describeInstallPlan({ packages, plugins, start }: InstallPlan): string[] {
  return [
    packages.length ? `install ${packages.join(', ')}` : '',
    plugins.length ? `install the plug-ins ${plugins.join(' and ')} of Debian 13` : '',
    start ? 'start the Docker engine' : '',
  ].filter(Boolean)
}
