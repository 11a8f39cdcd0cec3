// Rotation of a secret of an environment on Kubernetes, by its env file and its SealedSecret.
import { planRotation, type Rotation } from '../../compose/rotation/plan.ts'
import { loginKeyOf } from '../../env/logins.ts'
import { writeEnvFiles } from '../../env/write.ts'
import { exit, Failure } from '../../errors.ts'
import { emit, printResult, step, warn } from '../../report.ts'
import { root } from '../../repository.ts'
import type { Environment } from '../environment.ts'
import { fetchSealingCertificate, sealValues } from '../kubeseal.ts'
import { renderManifests } from '../kustomize.ts'
import type { Manifest } from '../objects.ts'
import { writeSealedSecret, type SealedSecretFile } from '../sealed-secrets.ts'
import { findPasswordServers } from './servers.ts'

/**
 * Gives a secret another value, in its env file and sealed: the pods that read it restart with the next
 * deploy. The password of a database goes to its other login. Throws Failure (usage, refused) with nothing
 * written for one that cannot be changed like that.
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
  if (rotation.kind !== 'restart')
    refuseWithoutServer(environment, rotation, await renderManifests(environment))
  const values = { [key]: rotation.new, ...loginOf(rotation) }
  const pem = await fetchSealingCertificate(environment, cert)
  const sealed = await step(`Seal another ${key} for ${environment.namespace}`, () =>
    Promise.all(own.map(one => sealValues(environment, one, values, pem))),
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
  for (const { file } of own) emit('file', { file, sealed: Object.keys(values) })
  emit('result', { environment: name, rotated: key })
  printResult(
    `${key} has another value in ${rotation.change.file.name} and ${own.map(({ file }) => file).join(', ')}${rotation.logins ? `, for ${rotation.logins.new}` : ''}. Commit that, then: npx zx scripts/deploy.ts ${name}`,
  )
}

/** The login that goes with a new password, by its key; nothing for a password without one. */
const loginOf = ({ key, logins }: Rotation): Record<string, string> =>
  logins ? { [loginKeyOf(key)]: logins.new } : {}

/**
 * Throws Failure (refused) for a password whose server a deploy cannot reach: pods with the new one would be
 * refused.
 */
function refuseWithoutServer(
  { name }: Environment,
  rotation: Rotation,
  manifests: Manifest[],
): void {
  const { key, logins } = rotation
  const found = findPasswordServers(manifests).find(({ password }) => password.key === key)
  const [login] = Object.keys(loginOf(rotation))
  if (found && (!login || (found.login && 'key' in found.login && found.login.key === login)))
    return
  const why = found
    ? `${found.name} has its login from elsewhere than ${login}`
    : 'no server of the overlay takes it: a deploy could not let it in beside the old one'
  const keys = [key, ...(login ? [login] : [])]
  const there = logins
    ? `psql -h HOST -U ADMINISTRATOR, \\password ${logins.new}`
    : 'a second password at the server'
  throw new Failure(exit.refused, `Rotate ${key}`, why, {
    next: `${there}; write ${keys.join(' and ')} into the env file; npx zx scripts/seal.ts ${name} ${keys.map(one => `--only ${one}`).join(' ')}; deploy; then take the old password away there`,
  })
}
