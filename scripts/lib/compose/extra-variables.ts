// Further variables of an application (extra.env) that do not reach it.
import { readFileSync } from 'node:fs'
import type { ComposeConfig, Stack } from './stack.ts'
import { listExtraFiles, findEnvFiles } from '../env/files.ts'
import { parseExtraFile } from '../env/lines.ts'
import { exit, Failure } from '../errors.ts'
import { root } from '../repository.ts'

/** A line of an extra file whose value no service gets. */
export interface IgnoredVariable {
  file: string
  key: string
}

/**
 * The variables of extra files that no service gets with their value: what a service's
 * `environment` sets wins over its `env_file`, even when it is empty.
 */
export function findIgnoredVariables(
  { services }: ComposeConfig,
  { suffix }: Pick<Stack, 'suffix'>,
  folder = root,
): IgnoredVariable[] {
  const files = listExtraFiles(folder, findEnvFiles(folder, suffix.slice(1)))
  // Compose prints a dollar as two
  const arrives = (key: string, value: string) =>
    Object.values(services).some(
      ({ environment = {} }) => environment[key] === value.replaceAll('$', '$$$$'),
    )
  return files.flatMap(({ name, path }) =>
    Object.entries(parseExtraFile(readFileSync(path, 'utf8')))
      .filter(([key, value]) => !arrives(key, value))
      .map(([key]) => ({ file: name, key })),
  )
}

/** Throws Failure (usage) when a variable of an extra file reaches no service. */
export function refuseIgnoredVariables(all: ComposeConfig, stack: Stack): void {
  const ignored = findIgnoredVariables(all, stack)
  if (!ignored.length) return
  throw new Failure(
    exit.usage,
    'Read the extra env files',
    'some of their variables reach no service',
    {
      evidence: ignored.map(({ file, key }) => `${file}: ${key}`).join('\n'),
      next: "delete them there: the application's docker-compose.yml sets them itself",
    },
  )
}
