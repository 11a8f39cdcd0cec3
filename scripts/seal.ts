// Seals an environment's secrets, so that they can stand in git: from its env files into
// infra/k8s/overlays/<environment>/secrets.
// Usage: npx zx scripts/seal.ts <environment> [--only KEY …] [--all] [--cert FILE] | --check
// Exit codes: 0 2 3 5 130
import { parseArgs } from 'node:util'
import { readScriptArguments, wantsHelp } from './lib/arguments.ts'
import { exit, exitHelp } from './lib/errors.ts'

if (wantsHelp()) {
  console.log(`Usage: npx zx scripts/seal.ts <environment> [--only KEY …] [--all] [--cert FILE]
       npx zx scripts/seal.ts <environment> --check

Fills the SealedSecrets of infra/k8s/overlays/<environment>/secrets from infra/docker/<folder>/.env.<environment>, by kubeseal. Only the
cluster's controller can read what comes out. Keys that are sealed already are left alone: whether they hold today's value cannot be
told from outside, so after a change the key must be named. An optional key that is empty is sealed as empty: it is there, like in
the env file, and a deploy takes it.
  --only KEY    seals this key anew, wherever it stands (repeatable)
  --all         seals every key anew
  --cert FILE   the controller's certificate (kubeseal --fetch-cert), where the cluster cannot be reached from here
  --check       writes nothing: names keys that are missing, empty or unknown, and asks the cluster whether each would unseal
  --json        NDJSON events on stdout

${exitHelp(0, 2, 3, 5, 130)}`)
  process.exit(exit.done)
}

const { join } = await import('node:path')
const { loadEnvValues, readEnvFile } = await import('./lib/env/files.ts')
const { checkEnvFiles } = await import('./lib/env/check.ts')
const { Failure } = await import('./lib/errors.ts')
const { loadEnvironment } = await import('./lib/kubernetes/environment.ts')
const { emit, setJsonOutput, main, printResult, say, step } = await import('./lib/report.ts')
const { fetchSealingCertificate, sealValues, validateSealedSecret } =
  await import('./lib/kubernetes/kubeseal.ts')
const { root } = await import('./lib/repository.ts')
const { selectKeysToSeal, checkSealedKeys, readSealedSecrets, writeSealedSecret } =
  await import('./lib/kubernetes/sealed-secrets.ts')
type EnvProblem = import('./lib/env/check.ts').EnvProblem

await main(async () => {
  const flag = { type: 'boolean' } as const
  const options = {
    json: flag,
    check: flag,
    all: flag,
    only: { type: 'string', multiple: true },
    cert: { type: 'string' },
  } as const
  const { values, positionals } = parseArgs({
    args: readScriptArguments(),
    allowPositionals: true,
    options,
  })
  setJsonOutput(Boolean(values.json))
  if (positionals.length > 1 || [values.only, values.all, values.check].filter(Boolean).length > 1)
    throw new Failure(
      exit.usage,
      'Read the arguments',
      'one environment, and one of --only, --all and --check',
      { next: 'npx zx scripts/seal.ts --help' },
    )
  const place = loadEnvironment(positionals[0])
  const secrets = readSealedSecrets(place)
  const what = `${values.check ? 'Check' : 'Seal'} the secrets of ${place.name}`

  if (values.check) {
    const found = await Promise.all(
      secrets.map(async one => [
        ...checkSealedKeys(one, place.name, true),
        ...(await validateSealedSecret(place, one)),
      ]),
    )
    refuse(found.flat())
    emit('result', { environment: place.name, problems: 0 })
    return printResult(
      `${secrets.length} SealedSecrets of ${place.name} are whole, and the cluster could unseal them.`,
    )
  }

  // Pre-flight: everything is read, checked and sealed before a file is written.
  refuse([
    ...checkEnvFiles(root, place.name),
    ...secrets.flatMap(one => checkSealedKeys(one, place.name, false)),
  ])
  const strange = (values.only ?? []).filter(key => !secrets.some(({ keys }) => key in keys))
  if (strange.length)
    throw new Failure(exit.usage, what, `in none of the SealedSecrets: ${strange.join(', ')}`, {
      next: `grep -r ': "' ${place.folder}/secrets | cut -c1-120`,
    })
  loadEnvValues(root, place.name)
  const todo = secrets
    .map(one => ({ one, keys: selectKeysToSeal(one.keys, values) }))
    .filter(({ keys }) => keys.length)
  if (!todo.length) {
    emit('result', { environment: place.name, sealed: 0 })
    return printResult(
      'Every key is sealed already. Whether they hold the values of the env files cannot be told: after a change, --only KEY, or --all.',
    )
  }
  const pem = await fetchSealingCertificate(place, values.cert)
  const sealed = await step(
    `Seal ${todo.flatMap(({ keys }) => keys).length} keys for ${place.namespace}`,
    () =>
      Promise.all(
        todo.map(async ({ one, keys }) => {
          const env = readEnvFile(join(root, 'infra/docker', one.folder, `.env.${place.name}`))
          return {
            one,
            keys,
            ciphertexts: await sealValues(
              place,
              one,
              Object.fromEntries(keys.map(key => [key, env[key] ?? ''])),
              pem,
            ),
          }
        }),
      ),
  )

  // Impact.
  for (const { one, keys, ciphertexts } of sealed) {
    writeSealedSecret(one, ciphertexts)
    say(`  ${one.file}: ${keys.length} of ${Object.keys(one.keys).length} (${keys.join(', ')})`)
    emit('file', { file: one.file, sealed: keys })
  }
  const count = sealed.flatMap(({ keys }) => keys).length
  emit('result', { environment: place.name, sealed: count })
  printResult(
    `${count} keys sealed in ${sealed.length} files. They can be committed; a pod reads a new value when it starts anew.`,
  )

  function refuse(problems: EnvProblem[]) {
    for (const one of problems) emit('problem', one)
    if (!problems.length) return
    const evidence = problems
      .map(
        ({ file, key, problem, remedy }) =>
          `${file}: ${[key, problem].filter(Boolean).join(' ')}; ${remedy}`,
      )
      .join('\n')
    const why = `${problems.length} ${problems.length > 1 ? 'problems' : 'problem'}`
    throw new Failure(exit.usage, what, why, {
      evidence,
      next: 'mend them, then the same command again',
    })
  }
})
