// Rotation of a secret of an environment on Kubernetes, by its env file and its SealedSecret.
import { planRotation, type Rotation } from '../../compose/rotation/plan.ts'
import { writeEnvFiles } from '../../env/write.ts'
import { exit, Failure } from '../../errors.ts'
import { emit, printResult, step, warn } from '../../report.ts'
import { root } from '../../repository.ts'
import type { Environment } from '../environment.ts'
import { fetchSealingCertificate, sealValues } from '../kubeseal.ts'
import { writeSealedSecret, type SealedSecretFile } from '../sealed-secrets.ts'

/**
 * Gives a secret another value, in its env file and sealed: the pods that read it restart with the next
 * deploy. Throws Failure (usage, refused) with nothing written for one
 * that cannot be changed like that.
 */
export async function rotateKey(
  environment: Environment,
  secrets: SealedSecretFile[],
  key: string,
  cert: string | undefined,
): Promise<void> {
  const { name } = environment
  const apply = `npx zx scripts/seal.ts ${name} --only ${key} and a deploy`
  const rotation = planRotation(root, name, key, apply)
  const own = secrets.filter(({ keys }) => key in keys)
  refuseServerPassword(rotation, apply)
  const pem = await fetchSealingCertificate(environment, cert)
  const sealed = await step(`Seal another ${key} for ${environment.namespace}`, () =>
    Promise.all(own.map(one => sealValues(environment, one, { [key]: rotation.new }, pem))),
  )

  // Impact.
  writeEnvFiles([rotation.change])
  try {
    for (const [i, one] of own.entries()) writeSealedSecret(one, sealed[i]!)
  } catch (error) {
    writeEnvFiles([rotation.back])
    throw error
  }
  if (rotation.note) warn(`${key}: ${rotation.note}`)
  for (const { file } of own) emit('file', { file, sealed: [key] })
  emit('result', { environment: name, rotated: key })
  printResult(
    `${key} has another value in ${rotation.change.file.name} and ${own.map(({ file }) => file).join(', ')}. Commit that, then: npx zx scripts/deploy.ts ${name}`,
  )
}

/**
 * Throws Failure (refused) for the password of a server: pods with the new one would meet a server that
 * knows the old one, or the other way round.
 */
function refuseServerPassword({ key, kind }: Rotation, apply: string): void {
  if (kind === 'restart') return
  const server = kind === 'login' ? 'database' : 'Redis'
  throw new Failure(
    exit.refused,
    `Rotate ${key}`,
    `its ${server} would refuse a password until all have the new one: two at once are not there yet on Kubernetes`,
    {
      next: `in a quiet minute: the new value into the env file, then in the server's pod ${kind === 'login' ? "psql's \\password" : 'redis-cli ACL SETUSER default'}, and at once ${apply}`,
    },
  )
}
