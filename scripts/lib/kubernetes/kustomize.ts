// What an environment's manifests make.
import { join } from 'node:path'
import { Failure, exit } from '../errors.ts'
import { root } from '../repository.ts'
import { run } from '../run.ts'
import type { Environment } from './environment.ts'
import { createKubectlMissing, readKubectlError } from './kubectl.ts'
import type { Manifest } from './objects.ts'

/**
 * What kustomize makes of a folder (relative to the repository), as kubectl itself reads it: by a
 * patch that changes nothing, without asking a cluster. Another parser reads other values: YAML 1.2
 * takes `13e9474` for a number (kubernetes-sigs/kustomize#4081). Throws Failure (usage) with
 * kustomize's words.
 */
export async function buildKustomization(
  environment: Environment,
  folder: string,
): Promise<Manifest[]> {
  const patch = ['patch', '--local', '--type', 'merge', '--patch', '{}', '--output', 'json']
  // without context and namespace: it would refuse what belongs elsewhere
  const output = await run(['kubectl', ...patch, '--kustomize', join(root, folder)], {
    nothrow: true,
    timeout: 60_000,
  })
  if (output.code === 127) throw createKubectlMissing()
  if (output.code !== 0) {
    const env = output.stderr.includes(`.env.${environment.name}`)
    const why = readKubectlError(output).replaceAll(`${root}/`, '')
    throw new Failure(exit.usage, `Build ${folder}`, why, {
      next: env ? `npx zx scripts/env.ts ${environment.name}` : `kubectl kustomize ${folder}`,
    })
  }
  // one after the other, indented
  return output.stdout.split(/\n(?=\{)/).map(text => JSON.parse(text) as Manifest)
}

/** The environment's manifests. */
export const renderManifests = (environment: Environment): Promise<Manifest[]> =>
  buildKustomization(environment, environment.folder)

/**
 * What the overlay's ConfigMap `stack` says: the domain, the port in addresses, the time zone. Its
 * name ends with kustomize's hash.
 */
export function readStackConfig(all: Manifest[]): Record<string, string> {
  const found = all.find(
    ({ kind, metadata }) => kind === 'ConfigMap' && /^stack(-[a-z0-9]{10})?$/.test(metadata.name),
  )
  if (!found) throw new Failure(exit.usage, 'Read the overlay', 'it has no ConfigMap `stack`')
  return found.data as Record<string, string>
}
