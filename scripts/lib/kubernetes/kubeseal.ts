// kubeseal: seals values for an environment's controller, and asks it about sealed ones. Values go
// through its standard input alone.
import { X509Certificate } from 'node:crypto'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { EnvProblem } from '../env/problem.ts'
import { Failure, exit } from '../errors.ts'
import { requireKubeContext } from './kube-context.ts'
import type { Environment } from './environment.ts'
import { keepSecret } from '../redact.ts'
import { run, type RunOutput } from '../run.ts'
import type { SealedSecretFile } from './sealed-secrets.ts'

/** The controller's release that infra/k8s/README.md installs; kubeseal must be of the same. */
export const sealedSecretsVersion = '0.40.0'
const kubesealInstallCommand =
  `curl -fsSL https://github.com/bitnami-labs/sealed-secrets/releases/download/v${sealedSecretsVersion}/kubeseal-${sealedSecretsVersion}-linux-amd64.tar.gz` +
  ' | sudo tar -xzC /usr/local/bin kubeseal'

/**
 * Runs kubeseal against the environment's controller. Throws Failure (refused) when it is not
 * there.
 */
async function runKubeseal(
  environment: Environment,
  argv: string[],
  input = '',
): Promise<RunOutput> {
  const { context, sealedSecrets } = environment
  if (!argv.includes('--cert'))
    requireKubeContext(environment, `Ask the cluster of ${environment.name}`)
  const where = [
    ...(context ? ['--context', context] : []),
    '--controller-namespace',
    sealedSecrets.namespace,
    '--controller-name',
    sealedSecrets.name,
  ]
  const output = await run(['kubeseal', ...where, ...argv], {
    input,
    nothrow: true,
    timeout: 30_000,
  })
  if (output.code === 127)
    throw new Failure(
      exit.refused,
      'Run kubeseal',
      `it is not on the PATH; it must fit the controller (${sealedSecretsVersion})`,
      { next: kubesealInstallCommand },
    )
  return output
}

const lastKubesealLine = ({ stderr, stdout, code }: RunOutput) =>
  (stderr.trim() || stdout.trim())
    .split('\n')
    .at(-1)
    ?.replace(/^error: /, '') || `it ended with ${code}`

/**
 * The controller's certificate (PEM), asked for or from a file. Throws Failure (refused) when it
 * cannot be had or has expired.
 */
export async function fetchSealingCertificate(
  environment: Environment,
  file?: string,
): Promise<string> {
  const what = file
    ? `Read ${file}`
    : `Fetch the controller's certificate (${environment.sealedSecrets.namespace}/${environment.sealedSecrets.name})`
  const fail = (why: string, next: string) => new Failure(exit.refused, what, why, { next })
  if (file && !existsSync(file))
    throw new Failure(exit.usage, what, 'it is not there', {
      next: `kubeseal --fetch-cert > ${file}   (where the cluster can be reached)`,
    })
  const output = file ? undefined : await runKubeseal(environment, ['--fetch-cert'])
  if (output?.code)
    throw fail(
      lastKubesealLine(output),
      `npx zx scripts/seal.ts ${environment.name} --cert FILE   (or repair the access: --doctor --cluster)`,
    )
  const pem = output?.stdout ?? readFileSync(file!, 'utf8')
  let until: string
  try {
    until = new X509Certificate(pem).validTo
  } catch {
    throw fail('it is not a certificate', 'kubeseal --fetch-cert')
  }
  if (Date.parse(until) < Date.now())
    throw fail(
      `it has expired (${until})`,
      'kubeseal --fetch-cert   (where the cluster can be reached)',
    )
  return pem
}

/**
 * The ciphertexts of values, sealed for a SealedSecret's name and namespace. An empty value is
 * sealed like any other.
 */
export async function sealValues(
  environment: Environment,
  { file, name, namespace }: SealedSecretFile,
  values: Record<string, string>,
  pem: string,
): Promise<Record<string, string>> {
  const data = Object.fromEntries(
    Object.entries(values).map(([key, value]) => [key, Buffer.from(value).toString('base64')]),
  )
  for (const text of Object.values(data)) keepSecret(text)
  const folder = mkdtempSync(join(tmpdir(), 'kgc-seal-'))
  try {
    writeFileSync(join(folder, 'certificate.pem'), pem)
    const secret = JSON.stringify({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name, namespace },
      data,
    })
    const output = await runKubeseal(
      environment,
      ['--cert', join(folder, 'certificate.pem'), '--format', 'json'],
      secret,
    )
    if (output.code !== 0)
      throw new Failure(exit.refused, `Seal ${file}`, lastKubesealLine(output), {
        next: 'kubeseal --version',
      })
    const { encryptedData = {} } = (
      JSON.parse(output.stdout) as { spec: { encryptedData?: Record<string, string> } }
    ).spec
    const lost = Object.keys(values).filter(key => !encryptedData[key])
    if (lost.length)
      throw new Failure(
        exit.refused,
        `Seal ${file}`,
        `kubeseal gave nothing for ${lost.join(', ')}`,
        { next: 'kubeseal --version' },
      )
    return encryptedData
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Asks the controller whether it could open what is sealed; when it could not, key by key. */
export async function validateSealedSecret(
  environment: Environment,
  sealed: SealedSecretFile,
): Promise<EnvProblem[]> {
  const keys = Object.fromEntries(Object.entries(sealed.keys).filter(([, text]) => text))
  if (!Object.keys(keys).length) return []
  const whole = await runValidation(environment, sealed, keys)
  if (whole.code === 0) return []
  const problem = (key: string, problem: string, remedy: string): EnvProblem => ({
    file: sealed.file,
    key,
    problem,
    remedy,
  })
  // anything else than a refusal: the controller did not look at it
  if (!/unable to decrypt/.test(whole.stderr + whole.stdout))
    return [
      problem(
        '',
        `could not be asked about: ${lastKubesealLine(whole)}`,
        `npx zx scripts/bootstrap.ts --doctor --cluster --environment ${environment.name}`,
      ),
    ]
  const bad: string[] = []
  for (const [key, text] of Object.entries(keys))
    if ((await runValidation(environment, sealed, { [key]: text })).code !== 0) bad.push(key)
  return bad.map(key =>
    problem(
      key,
      'would not unseal in this cluster',
      `npx zx scripts/seal.ts ${environment.name} --only ${key}`,
    ),
  )
}

function runValidation(
  environment: Environment,
  { name, namespace }: SealedSecretFile,
  encryptedData: Record<string, string>,
): Promise<RunOutput> {
  const object = {
    apiVersion: 'bitnami.com/v1alpha1',
    kind: 'SealedSecret',
    metadata: { name, namespace },
    spec: { encryptedData },
  }
  return runKubeseal(environment, ['--validate'], JSON.stringify(object))
}
