// The SealedSecrets of an environment as files: which keys they have, and which they should have.
import { existsSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseDocument, type Document } from 'yaml'
import type { EnvProblem } from '../env/problem.ts'
import { Failure, exit } from '../errors.ts'
import { parseExample, type ExampleEntry } from '../env/example.ts'
import { listSealedEntries } from '../env/logins.ts'
import type { Environment } from './environment.ts'
import { root } from '../repository.ts'

/** A SealedSecret in the repository. */
export interface SealedSecretFile {
  /** Relative to the repository. */
  file: string
  /** Where its example and its env files are: `infra/docker/<application>`, or `infra/monitoring`. */
  folder: string
  document: Document
  name: string
  namespace: string
  /** Ciphertexts by key; '' until it is sealed. */
  keys: Record<string, string>
  /** What the folder's example says of what is sealed. */
  entries: ExampleEntry[]
}

/**
 * The SealedSecrets of an environment. Throws Failure (usage) when it has none, or one belongs to
 * no application.
 */
export function readSealedSecrets(environment: Environment): SealedSecretFile[] {
  const folder = join(environment.folder, 'secrets')
  const names = existsSync(join(root, folder))
    ? readdirSync(join(root, folder)).filter(
        name => name.endsWith('.yaml') && name !== 'kustomization.yaml',
      )
    : []
  if (!names.length)
    throw new Failure(exit.usage, `Read ${folder}`, 'nothing to seal is in it', {
      next: `kubectl kustomize ${environment.folder}`,
    })
  return names
    .sort()
    .map(name => readSealedSecret(environment, join(folder, name), name.slice(0, -5)))
}

function readSealedSecret(environment: Environment, file: string, owner: string): SealedSecretFile {
  const folder = owner === 'monitoring' ? 'infra/monitoring' : `infra/docker/${owner}`
  const example = `${folder}/.env.example`
  const fail = (why: string) =>
    new Failure(exit.usage, `Read ${file}`, why, { next: `git diff ${file}` })
  if (!existsSync(join(root, example)))
    throw fail(`it should be called after a folder of infra/docker; there is no ${example}`)
  const document = parseDocument(readFileSync(join(root, file), 'utf8'))
  if (document.errors.length) throw fail(document.errors[0]!.message.split('\n')[0]!)
  const { kind, metadata, spec } = document.toJS() ?? {}
  if (kind !== 'SealedSecret' || !metadata?.name || typeof spec?.encryptedData !== 'object')
    throw fail('it is not a SealedSecret with spec.encryptedData')
  // a value is sealed for this name in this namespace, and opens nowhere else
  if (metadata.namespace !== environment.namespace)
    throw fail(`its namespace is ${metadata.namespace}, the overlay's ${environment.namespace}`)
  const described = parseExample(readFileSync(join(root, example), 'utf8'), example)
  // of the monitoring Compose needs more than Kubernetes
  const entries = listSealedEntries(described).filter(
    ({ key }) => owner !== 'monitoring' || key in spec.encryptedData,
  )
  return {
    file,
    folder,
    document,
    name: metadata.name,
    namespace: metadata.namespace,
    keys: spec.encryptedData ?? {},
    entries,
  }
}

/**
 * Keys that are missing from a SealedSecret or that nobody reads; with `empty`, also those that are
 * not sealed yet.
 */
export function checkSealedKeys(
  sealed: Pick<SealedSecretFile, 'file' | 'folder' | 'keys' | 'entries'>,
  environment: string,
  empty: boolean,
): EnvProblem[] {
  const { file, folder, keys, entries } = sealed
  const seal = `npx zx scripts/seal.ts ${environment}`
  const problem = (key: string, problem: string, remedy: string): EnvProblem => ({
    file,
    key,
    problem,
    remedy,
  })
  return [
    ...entries
      .filter(({ key }) => !(key in keys))
      .map(({ key }) =>
        problem(key, 'is missing', `add \`${key}: ""\` under encryptedData, then ${seal}`),
      ),
    ...Object.entries(keys).flatMap(([key, text]) => {
      const known = entries.some(entry => entry.key === key)
      if (!known)
        return [
          problem(key, `is no secret of ${folder}/.env.example`, 'delete it, or describe it there'),
        ]
      return empty && !text ? [problem(key, 'is empty', seal)] : []
    }),
  ]
}

/** The keys to seal: those that are empty, those that are named, or all. */
export function selectKeysToSeal(
  keys: Record<string, string>,
  { only, all }: { only?: string[]; all?: boolean },
): string[] {
  return Object.keys(keys).filter(key => all || (only?.length ? only.includes(key) : !keys[key]))
}

/** Puts ciphertexts into the file, whole or not at all; everything else in it stays as it is. */
export function writeSealedSecret(
  { file, document }: SealedSecretFile,
  ciphertexts: Record<string, string>,
): void {
  for (const [key, text] of Object.entries(ciphertexts))
    document.setIn(['spec', 'encryptedData', key], text)
  const temporary = join(root, `${file}.${process.pid}.tmp`)
  try {
    writeFileSync(temporary, document.toString({ lineWidth: 0, flowCollectionPadding: true }), {
      flag: 'wx',
    })
    renameSync(temporary, join(root, file))
  } catch (error) {
    rmSync(temporary, { force: true })
    const why = `${(error as NodeJS.ErrnoException).code}; it is unchanged`
    throw new Failure(exit.rolledBack, `Write ${file}`, why, {
      next: 'the same command again, when there is free space',
    })
  }
}
