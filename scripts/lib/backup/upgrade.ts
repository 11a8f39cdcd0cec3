// The images that run and those that are to run.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Container } from '../compose/containers.ts'
import type { ComposeConfig } from '../compose/stack.ts'
import { findBlockedUpgrades, type UpgradeRule } from '../deploy/preflight/upgrade-paths.ts'
import { exit, Failure } from '../errors.ts'
import { run } from '../run.ts'
import { loadAppModules } from '../smoke/app-modules.ts'

/** A service whose container runs another image than the Compose files say. */
export interface ImageChange {
  service: string
  from: string
  /** The id that the engine knows the old one by. */
  fromId: string
  to: string
}

/** Services among these whose images change, by name or, where both are here, by what is in them. */
export async function findImageChanges(
  all: ComposeConfig,
  services: string[],
  seen: Map<string, Container>,
): Promise<ImageChange[]> {
  const changes = services.map(async service => {
    const container = seen.get(service)
    const to = all.services[service]?.image
    if (!container || !to) return []
    const { stdout } = await run(['docker', 'image', 'inspect', '--format', '{{.Id}}', to], {
      nothrow: true,
    })
    const [from, fromId, id] = [container.Config.Image, container.Image, stdout.trim()]
    return from === to && (!id || id === fromId) ? [] : [{ service, from, fromId, to }]
  })
  return (await Promise.all(changes)).flat()
}

/** Throws Failure (refused) for steps that an application forbids. */
export async function refuseForbiddenUpgrades(changes: ImageChange[]): Promise<void> {
  const modules = await loadAppModules<{ upgradePaths: UpgradeRule[] }>('upgrade-paths.ts')
  const rules = modules.flatMap(({ upgradePaths }) => upgradePaths)
  const blocked = changes.flatMap(({ service, from, to }) =>
    findBlockedUpgrades(rules, [from], [to]).map(words => `${service}: ${words}`),
  )
  if (blocked.length)
    throw new Failure(exit.refused, 'Compare the releases', blocked[0]!, {
      evidence: blocked.join('\n'),
      next: 'put the old pins back, and take the step that is named first',
    })
}

/** Lets `work` have a Compose file that says the old images. */
export async function withImages(
  changes: ImageChange[],
  work: (file: string) => Promise<unknown>,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'kgc-upgrade-'))
  const file = join(folder, 'docker-compose.yml')
  const services = changes.map(({ service, fromId }) => [service, { image: fromId }])
  try {
    writeFileSync(file, JSON.stringify({ services: Object.fromEntries(services) }))
    await work(file)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
