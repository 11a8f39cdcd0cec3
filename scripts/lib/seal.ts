// SealedSecrets of an environment: what stands in them, what should, and how kubeseal makes it so. No value leaves but into kubeseal's standard input.
import { X509Certificate } from 'node:crypto'
import { existsSync, mkdtempSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseDocument, type Document } from 'yaml'
import type { Place } from './cluster.ts'
import { root } from './compose.ts'
import type { Problem } from './env-check.ts'
import { Failure, exit } from './errors.ts'
import { describeExample, type Entry } from './example.ts'
import { keepSecret } from './redact.ts'
import { run, type Output } from './run.ts'

/** The controller's release that infra/k8s/README.md installs; kubeseal must be of the same. */
export const release = '0.40.0'
const install =
  `curl -fsSL https://github.com/bitnami-labs/sealed-secrets/releases/download/v${release}/kubeseal-${release}-linux-amd64.tar.gz` +
  ' | sudo tar -xzC /usr/local/bin kubeseal'

/** A SealedSecret in the repository. */
export interface Sealed {
  /** Relative to the repository. */
  file: string
  /** The application's folder under infra/docker. */
  folder: string
  document: Document
  name: string
  namespace: string
  /** Ciphertexts by key; '' until it is sealed. */
  keys: Record<string, string>
  /** What the folder's example says of its secrets. */
  entries: Entry[]
}

/** The SealedSecrets of an environment. Throws Failure (usage) when it has none, or one belongs to no application. */
export function sealedSecrets(place: Place): Sealed[] {
  const folder = join(place.folder, 'secrets')
  const names = existsSync(join(root, folder)) ? readdirSync(join(root, folder)).filter(name => name.endsWith('.yaml') && name !== 'kustomization.yaml') : []
  if (!names.length) throw new Failure(exit.usage, `Read ${folder}`, 'nothing to seal is in it', { next: `kubectl kustomize ${place.folder}` })
  return names.sort().map(name => readSealed(place, join(folder, name), name.slice(0, -5)))
}

function readSealed(place: Place, file: string, folder: string): Sealed {
  const example = `infra/docker/${folder}/.env.example`
  const fail = (why: string) => new Failure(exit.usage, `Read ${file}`, why, { next: `git diff ${file}` })
  if (!existsSync(join(root, example))) throw fail(`it should be called after a folder of infra/docker; there is no ${example}`)
  const document = parseDocument(readFileSync(join(root, file), 'utf8'))
  if (document.errors.length) throw fail(document.errors[0]!.message.split('\n')[0]!)
  const { kind, metadata, spec } = document.toJS() ?? {}
  if (kind !== 'SealedSecret' || !metadata?.name || typeof spec?.encryptedData !== 'object') throw fail('it is not a SealedSecret with spec.encryptedData')
  // a value is sealed for this name in this namespace, and opens nowhere else
  if (metadata.namespace !== place.namespace) throw fail(`its namespace is ${metadata.namespace}, the overlay's ${place.namespace}`)
  const entries = describeExample(readFileSync(join(root, example), 'utf8'), example).filter(({ secret }) => secret)
  return { file, folder, document, name: metadata.name, namespace: metadata.namespace, keys: spec.encryptedData ?? {}, entries }
}

/** Keys that are missing from a SealedSecret or that nobody reads; with `empty`, also those that are not sealed yet. */
export function judgeKeys({ file, folder, keys, entries }: Pick<Sealed, 'file' | 'folder' | 'keys' | 'entries'>, environment: string, empty: boolean): Problem[] {
  const seal = `npx zx scripts/seal.ts ${environment}`
  const problem = (key: string, problem: string, remedy: string): Problem => ({ file, key, problem, remedy })
  return [
    ...entries.filter(({ key }) => !(key in keys)).map(({ key }) => problem(key, 'is missing', `add \`${key}: ""\` under encryptedData, then ${seal}`)),
    ...Object.entries(keys).flatMap(([key, text]) => {
      if (!entries.some(entry => entry.key === key)) return [problem(key, `is no secret of infra/docker/${folder}/.env.example`, 'delete it, or describe it there')]
      return empty && !text ? [problem(key, 'is empty', seal)] : []
    }),
  ]
}

/** The keys to seal: those that are empty, those that are named, or all. */
export function chosen(keys: Record<string, string>, { only, all }: { only?: string[]; all?: boolean }): string[] {
  return Object.keys(keys).filter(key => all || (only?.length ? only.includes(key) : !keys[key]))
}

/** Runs kubeseal against the environment's controller. Throws Failure (refused) when it is not there. */
async function kubeseal({ context, sealedSecrets }: Place, argv: string[], input = ''): Promise<Output> {
  const where = [...(context ? ['--context', context] : []), '--controller-namespace', sealedSecrets.namespace, '--controller-name', sealedSecrets.name]
  const output = await run(['kubeseal', ...where, ...argv], { input, nothrow: true, timeout: 30_000 })
  if (output.code === 127) throw new Failure(exit.refused, 'Run kubeseal', `it is not on the PATH; it must fit the controller (${release})`, { next: install })
  return output
}

const words = ({ stderr, stdout, code }: Output) => (stderr.trim() || stdout.trim()).split('\n').at(-1)?.replace(/^error: /, '') || `it ended with ${code}`

/** The controller's certificate (PEM), asked for or from a file. Throws Failure (refused) when it cannot be had or has expired. */
export async function certificate(place: Place, file?: string): Promise<string> {
  const what = file ? `Read ${file}` : `Fetch the controller's certificate (${place.sealedSecrets.namespace}/${place.sealedSecrets.name})`
  const fail = (why: string, next: string) => new Failure(exit.refused, what, why, { next })
  if (file && !existsSync(file)) throw new Failure(exit.usage, what, 'it is not there', { next: `kubeseal --fetch-cert > ${file}   (where the cluster can be reached)` })
  const output = file ? undefined : await kubeseal(place, ['--fetch-cert'])
  if (output?.code) throw fail(words(output), `npx zx scripts/seal.ts ${place.name} --cert FILE   (or mend the access: --doctor --cluster)`)
  const pem = output?.stdout ?? readFileSync(file!, 'utf8')
  let until: string
  try {
    until = new X509Certificate(pem).validTo
  } catch {
    throw fail('it is not a certificate', 'kubeseal --fetch-cert')
  }
  if (Date.parse(until) < Date.now()) throw fail(`it has expired (${until})`, `npx zx scripts/seal.ts ${place.name}   (without --cert, where the cluster can be reached)`)
  return pem
}

/** The ciphertexts of values, sealed for a SealedSecret's name and namespace. An empty value is sealed like any other. */
export async function encrypt(place: Place, { file, name, namespace }: Sealed, values: Record<string, string>, pem: string): Promise<Record<string, string>> {
  const data = Object.fromEntries(Object.entries(values).map(([key, value]) => [key, Buffer.from(value).toString('base64')]))
  for (const text of Object.values(data)) keepSecret(text)
  const folder = mkdtempSync(join(tmpdir(), 'kgc-seal-'))
  try {
    writeFileSync(join(folder, 'certificate.pem'), pem)
    const secret = JSON.stringify({ apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace }, data })
    const output = await kubeseal(place, ['--cert', join(folder, 'certificate.pem'), '--format', 'json'], secret)
    if (output.code !== 0) throw new Failure(exit.refused, `Seal ${file}`, words(output), { next: 'kubeseal --version' })
    const { encryptedData = {} } = (JSON.parse(output.stdout) as { spec: { encryptedData?: Record<string, string> } }).spec
    const lost = Object.keys(values).filter(key => !encryptedData[key])
    if (lost.length) throw new Failure(exit.refused, `Seal ${file}`, `kubeseal gave nothing for ${lost.join(', ')}`, { next: 'kubeseal --version' })
    return encryptedData
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Puts ciphertexts into the file, whole or not at all; everything else in it stays as it is. */
export function writeSealed({ file, document }: Sealed, ciphertexts: Record<string, string>): void {
  for (const [key, text] of Object.entries(ciphertexts)) document.setIn(['spec', 'encryptedData', key], text)
  const temporary = join(root, `${file}.${process.pid}.tmp`)
  try {
    writeFileSync(temporary, document.toString({ lineWidth: 0, flowCollectionPadding: true }), { flag: 'wx' })
    renameSync(temporary, join(root, file))
  } catch (error) {
    rmSync(temporary, { force: true })
    throw new Failure(exit.rolledBack, `Write ${file}`, `${(error as NodeJS.ErrnoException).code}; it is as it was`, { next: 'the same command again, once there is room' })
  }
}

/** Asks the controller whether it could open what is sealed; when it could not, key by key. */
export async function judgeSeals(place: Place, sealed: Sealed): Promise<Problem[]> {
  const keys = Object.fromEntries(Object.entries(sealed.keys).filter(([, text]) => text))
  if (!Object.keys(keys).length) return []
  const whole = await validate(place, sealed, keys)
  if (whole.code === 0) return []
  const problem = (key: string, problem: string, remedy: string): Problem => ({ file: sealed.file, key, problem, remedy })
  // anything else than a refusal: the controller did not look at it
  if (!/unable to decrypt/.test(whole.stderr + whole.stdout))
    return [problem('', `could not be asked about: ${words(whole)}`, `npx zx scripts/bootstrap.ts --doctor --cluster --environment ${place.name}`)]
  const bad: string[] = []
  for (const [key, text] of Object.entries(keys)) if ((await validate(place, sealed, { [key]: text })).code !== 0) bad.push(key)
  return bad.map(key => problem(key, 'would not unseal in this cluster', `npx zx scripts/seal.ts ${place.name} --only ${key}`))
}

const validate = (place: Place, { name, namespace }: Sealed, encryptedData: Record<string, string>) =>
  kubeseal(place, ['--validate'], JSON.stringify({ apiVersion: 'bitnami.com/v1alpha1', kind: 'SealedSecret', metadata: { name, namespace }, spec: { encryptedData } }))
