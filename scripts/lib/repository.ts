// Where things are in this repository.
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'

export const root = join(import.meta.dirname, '../..')
export const dockerFolder = join(root, 'infra/docker')
export const monitoringFolder = join(root, 'infra/monitoring')

/** The folders of the applications: those with a Compose file of their own. */
export function listApplications(): string[] {
  return readdirSync(dockerFolder, { withFileTypes: true })
    .filter(
      entry =>
        entry.isDirectory() && existsSync(join(dockerFolder, entry.name, 'docker-compose.yml')),
    )
    .map(entry => entry.name)
}

/**
 * The folder that a person means by its name or its first word (`shop` for shop-web); undefined for
 * neither.
 */
export const findApplicationFolder = (name: string): string | undefined =>
  listApplications().find(folder => folder === name || folder.startsWith(`${name}-`))
