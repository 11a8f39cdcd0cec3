// Seals an environment's secrets, or checks those that are sealed (scripts/seal.ts).
import { join } from 'node:path'
import { usageFailure } from '../cli.ts'
import { checkEnvFiles, type EnvProblem } from '../env/check.ts'
import { loadEnvValues, readEnvFile } from '../env/files.ts'
import { exit, Failure } from '../errors.ts'
import { loadEnvironment, type Environment } from '../kubernetes/environment.ts'
import {
  fetchSealingCertificate,
  sealValues,
  validateSealedSecret,
} from '../kubernetes/kubeseal.ts'
import {
  checkSealedKeys,
  readSealedSecrets,
  selectKeysToSeal,
  writeSealedSecret,
  type SealedSecretFile,
} from '../kubernetes/sealed-secrets.ts'
import { emit, printResult, say, step } from '../report.ts'
import { root } from '../repository.ts'

interface SealArguments {
  values: {
    check?: boolean
    all?: boolean
    only?: string[]
    cert?: string
  }
  positionals: string[]
}

/** Keys to seal in a SealedSecret's file. */
interface KeysToSeal {
  secret: SealedSecretFile
  keys: string[]
}

/** Seals what is not sealed yet or what is named; with `check` only looks. */
export async function runSealCommand({ values, positionals }: SealArguments): Promise<void> {
  const { only, all, check, cert } = values
  if (positionals.length > 1 || [only, all, check].filter(Boolean).length > 1)
    throw usageFailure('one environment, and one of --only, --all and --check')
  const place = loadEnvironment(positionals[0])
  const secrets = readSealedSecrets(place)
  if (check) return checkAll(place, secrets)

  // Pre-flight: everything is read, checked and sealed before a file is written.
  refuseProblems(`Seal the secrets of ${place.name}`, [
    ...checkEnvFiles(root, place.name),
    ...secrets.flatMap(secret => checkSealedKeys(secret, place.name, false)),
  ])
  refuseUnknownKeys(place, secrets, only ?? [])
  loadEnvValues(root, place.name)
  const todo = secrets
    .map(secret => ({ secret, keys: selectKeysToSeal(secret.keys, values) }))
    .filter(({ keys }) => keys.length)
  const count = todo.flatMap(({ keys }) => keys).length
  if (!count) {
    emit('result', { environment: place.name, sealed: 0 })
    return printResult(
      'Every key is sealed already. Whether they hold the values of the env files cannot be told: after a change, --only KEY, or --all.',
    )
  }
  const pem = await fetchSealingCertificate(place, cert)
  const sealed = await step(`Seal ${count} keys for ${place.namespace}`, () =>
    Promise.all(todo.map(one => sealKeys(place, one, pem))),
  )

  // Impact.
  for (const { secret, keys, ciphertexts } of sealed) {
    writeSealedSecret(secret, ciphertexts)
    const total = Object.keys(secret.keys).length
    say(`  ${secret.file}: ${keys.length} of ${total} (${keys.join(', ')})`)
    emit('file', { file: secret.file, sealed: keys })
  }
  emit('result', { environment: place.name, sealed: count })
  printResult(
    `${count} keys sealed in ${sealed.length} files. They can be committed; a pod reads a new value when it starts anew.`,
  )
}

async function checkAll(place: Environment, secrets: SealedSecretFile[]): Promise<void> {
  const found = await Promise.all(
    secrets.map(async secret => [
      ...checkSealedKeys(secret, place.name, true),
      ...(await validateSealedSecret(place, secret)),
    ]),
  )
  refuseProblems(`Check the secrets of ${place.name}`, found.flat())
  emit('result', { environment: place.name, problems: 0 })
  printResult(
    `${secrets.length} SealedSecrets of ${place.name} are whole, and the cluster could unseal them.`,
  )
}

async function sealKeys(place: Environment, { secret, keys }: KeysToSeal, pem: string) {
  const env = readEnvFile(join(root, 'infra/docker', secret.folder, `.env.${place.name}`))
  const values = Object.fromEntries(keys.map(key => [key, env[key] ?? '']))
  return { secret, keys, ciphertexts: await sealValues(place, secret, values, pem) }
}

function refuseProblems(what: string, problems: EnvProblem[]): void {
  for (const one of problems) emit('problem', one)
  if (!problems.length) return
  const evidence = problems
    .map(
      ({ file, key, problem, remedy }) =>
        `${file}: ${[key, problem].filter(Boolean).join(' ')}; ${remedy}`,
    )
    .join('\n')
  const why = `${problems.length} ${problems.length > 1 ? 'problems' : 'problem'}`
  const next = 'mend them, then the same command again'
  throw new Failure(exit.usage, what, why, { evidence, next })
}

function refuseUnknownKeys(place: Environment, secrets: SealedSecretFile[], only: string[]): void {
  const strange = only.filter(key => !secrets.some(({ keys }) => key in keys))
  if (!strange.length) return
  const why = `in none of the SealedSecrets: ${strange.join(', ')}`
  throw new Failure(exit.usage, `Seal the secrets of ${place.name}`, why, {
    next: `grep -r ': "' ${place.folder}/secrets | cut -c1-120`,
  })
}
