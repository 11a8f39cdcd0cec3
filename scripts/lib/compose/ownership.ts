// The owner of a stack: the folder that its containers were started from. A second clone has the
// same project name.
import { existsSync, realpathSync } from 'node:fs'
import { join, sep } from 'node:path'
import type { Stack } from './stack.ts'
import type { Container } from './containers.ts'
import { Failure, exit } from '../errors.ts'
import { root } from '../repository.ts'

/**
 * The repository of a Compose project's folder, in words as short as can be: `/srv/kgc` for
 * `/srv/kgc/infra/docker`.
 */
export const repositoryOf = (folder: string): string =>
  folder.replace(/\/infra\/docker(\/[\w-]+)?$/, '')

/**
 * The repositories, still there, that the containers were started from, when none is from this one
 * (`here`). One that is gone was moved, and where containers of both run, an earlier take-over is
 * half done: then nobody else owns the stack.
 */
export function findOtherOwners(seen: Iterable<Pick<Container, 'Config'>>, here = root): string[] {
  const folders = [...seen].map(
    ({ Config: { Labels } }) => Labels['com.docker.compose.project.working_dir'] ?? '',
  )
  const there = [...new Set(folders)].filter(folder =>
    existsSync(join(folder || '/nowhere', 'docker-compose.yml')),
  )
  if (
    there.some(folder => `${realpathSync(folder)}${sep}`.startsWith(`${realpathSync(here)}${sep}`))
  )
    return []
  return [...new Set(there.map(repositoryOf))]
}

/**
 * Throws Failure (refused) when the stack is another folder's, which would lose it. `what`: what is
 * being done to it.
 */
export function refuseOtherOwner(
  stack: Stack,
  seen: Map<string, Container>,
  what: string,
  remedy: (folder: string) => string,
): void {
  const [owner] = findOtherOwners(seen.values())
  if (owner === undefined) return
  throw new Failure(
    exit.refused,
    what,
    `${stack.project} was started from ${owner}, which is still there`,
    {
      evidence: `A start from this folder (${root}) would take over its containers.`,
      next: remedy(owner),
    },
  )
}
