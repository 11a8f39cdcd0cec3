// Seals an environment's secrets, or checks those that are sealed (scripts/seal.ts).
import { join } from 'node:path'
import { usageFailure } from '../cli.ts'
import { checkEnvFiles } from '../env/check.ts'
import type { EnvProblem } from '../env/problem.ts'
import { loadEnvValues, readEnvFile } from '../env/files.ts'
import { exit, Failure } from '../errors.ts'
import { loadEnvironment, type Environment } from '../kubernetes/environment.ts'
import {
  fetchSealingCertificate,
  sealValues,
  validateSealedSecret,
} from '../kubernetes/kubeseal.ts'
import { rotateKey } from '../kubernetes/rotation/rotate-key.ts'
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
    rotate?: string
  }
  positionals: string[]
}

/** Keys to seal in a SealedSecret's file. */
interface KeysToSeal {
  secret: SealedSecretFile
  keys: string[]
}

/** Seals what is not sealed yet or what is named; with `check` only looks, with `rotate` makes a new value. */
export async function runSealCommand({ values, positionals }: SealArguments): Promise<void> {
  const { only, all, check, cert, rotate } = values
  if (positionals.length > 1 || [only, all, check, rotate].filter(Boolean).length > 1)
    throw usageFailure('one environment, and one of --only, --all, --check and --rotate')
  const environment = loadEnvironment(positionals[0])
  const secrets = readSealedSecrets(environment)
  if (check) return checkAll(environment, secrets)

  // Pre-flight: everything is read, checked and sealed before a file is written.
  refuseProblems(`Seal the secrets of ${environment.name}`, [
    ...checkEnvFiles(root, environment.name),
    ...secrets.flatMap(secret => checkSealedKeys(secret, environment.name, false)),
  ])
  refuseUnknownKeys(environment, secrets, only ?? [])
  loadEnvValues(root, environment.name)
  if (rotate) {
    refuseUnknownKeys(environment, secrets, [rotate])
    return rotateKey(environment, secrets, rotate, cert)
  }
  const todo = secrets
    .map(secret => ({ secret, keys: selectKeysToSeal(secret.keys, values) }))
    .filter(({ keys }) => keys.length)
  const count = todo.flatMap(({ keys }) => keys).length
  if (!count) {
    emit('result', { environment: environment.name, sealed: 0 })
    return printResult(
      'Every key is sealed already. It is not known whether they hold the values of the env files: after a change use --only KEY or --all.',
    )
  }
  const pem = await fetchSealingCertificate(environment, cert)
  const sealed = await step(`Seal ${count} keys for ${environment.namespace}`, () =>
    Promise.all(todo.map(one => sealKeys(environment, one, pem))),
  )

  // Impact.
  for (const { secret, keys, ciphertexts } of sealed) {
    writeSealedSecret(secret, ciphertexts)
    const total = Object.keys(secret.keys).length
    say(`  ${secret.file}: ${keys.length} of ${total} (${keys.join(', ')})`)
    emit('file', { file: secret.file, sealed: keys })
  }
  emit('result', { environment: environment.name, sealed: count })
  printResult(
    `${count} keys sealed in ${sealed.length} files. They can be committed; a pod reads a new value when it restarts.`,
  )
}

async function checkAll(environment: Environment, secrets: SealedSecretFile[]): Promise<void> {
  const found = await Promise.all(
    secrets.map(async secret => [
      ...checkSealedKeys(secret, environment.name, true),
      ...(await validateSealedSecret(environment, secret)),
    ]),
  )
  refuseProblems(`Check the secrets of ${environment.name}`, found.flat())
  emit('result', { environment: environment.name, problems: 0 })
  printResult(
    `${secrets.length} SealedSecrets of ${environment.name} are whole, and the cluster could unseal them.`,
  )
}

async function sealKeys(environment: Environment, { secret, keys }: KeysToSeal, pem: string) {
  const env = readEnvFile(join(root, secret.folder, `.env.${environment.name}`))
  // an env file may be older than a login
  const valueOf = (key: string) =>
    env[key] ?? secret.entries.find(one => one.key === key && !one.secret)?.value ?? ''
  const values = Object.fromEntries(keys.map(key => [key, valueOf(key)]))
  return { secret, keys, ciphertexts: await sealValues(environment, secret, values, pem) }
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
  const next = 'correct them, then the same command again'
  throw new Failure(exit.usage, what, why, { evidence, next })
}

function refuseUnknownKeys(
  environment: Environment,
  secrets: SealedSecretFile[],
  only: string[],
): void {
  const strange = only.filter(key => !secrets.some(({ keys }) => key in keys))
  if (!strange.length) return
  const why = `no SealedSecret has them: ${strange.join(', ')}`
  throw new Failure(exit.usage, `Seal the secrets of ${environment.name}`, why, {
    next: `grep -r ': "' ${environment.folder}/secrets | cut -c1-120`,
  })
}
