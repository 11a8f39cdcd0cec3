// Whether the cluster's nodes may pull our own images: they have another login than the person who deploys.
import { RegistryError } from '../../images/registry/errors.ts'
import { fetchImageDigest } from '../../images/registry/client.ts'
import { parseImage } from '../../images/reference.ts'
import { podSpecOf, selectWorkloads, type Manifest } from '../../kubernetes/objects.ts'
import type { Environment } from '../../kubernetes/environment.ts'
import { keepSecret } from '../../redact.ts'
import { listWorkloadImages } from '../apply/checksums.ts'
import type { PreflightProblems } from './problems.ts'

/** A Secret of the type kubernetes.io/dockerconfigjson. */
interface PullSecret {
  name: string
  /** Logins in base64, by registry. */
  logins: Map<string, string>
}

/**
 * Asks the registry of our own images for each of them as a node would: with the login that the
 * pods' pull secrets hold, or without one. A login that the registry refuses is a refusal; `warn`
 * hears where none is known, for a node may have one of its own.
 */
export async function checkNodePulls(
  { images, namespace }: Pick<Environment, 'images' | 'namespace'>,
  all: Manifest[],
  live: Manifest[],
  refusals: PreflightProblems,
  warn: (text: string) => void,
  ask: (image: string, login: string) => Promise<unknown> = fetchImageDigest,
): Promise<void> {
  const own = listWorkloadImages(all).filter(image => images && image.startsWith(`${images}/`))
  if (!own.length || own.every(image => isServed(image, live))) return
  const names = listPullSecretNames(all)
  const known = live.filter(({ kind, metadata }) => kind === 'Secret' && names.has(metadata.name))
  // what is sealed in this change is opened later
  if (!known.length && all.some(one => names.has(one.metadata.name))) return
  const secret = known.map(readPullSecret).find(one => one.logins.has(hostOf(own[0]!)))
  const login = secret?.logins.get(hostOf(own[0]!)) ?? ''
  const answers = await Promise.all(own.map(image => isDenied(() => ask(image, login))))
  const denied = own.filter((_, i) => answers[i])
  if (!denied.length) return
  const what = `${denied[0]}${denied.length > 1 ? ` and ${denied.length - 1} more` : ''}`
  const how = 'infra/k8s/README.md, "Private packages"'
  if (secret)
    refusals.add(
      `the registry refuses the nodes ${what}: the login in the Secret ${secret.name} of ${namespace} is wrong, expired or lacks read:packages (${how})`,
    )
  else
    warn(
      `The registry gives ${what} to nobody without a login, and no pull secret of ${namespace} has one: unless the nodes have their own, their pods cannot start (${how})`,
    )
}

const hostOf = (image: string): string => parseImage(image).host

/** Whether a pod of the same image is ready: then the nodes have a way to pull it. */
const isServed = (image: string, live: Manifest[]): boolean =>
  live.some(
    ({ kind, status }) =>
      kind === 'Pod' &&
      ((status?.containerStatuses ?? []) as { image: string; ready: boolean }[]).some(
        one => one.ready && parseImage(one.image).name === parseImage(image).name,
      ),
  )

const listPullSecretNames = (all: Manifest[]): Set<string> =>
  new Set(
    selectWorkloads(all).flatMap(one =>
      (podSpecOf(one).imagePullSecrets ?? []).flatMap(({ name }) => name ?? []),
    ),
  )

function readPullSecret({ metadata, data }: Manifest): PullSecret {
  const logins = new Map<string, string>()
  try {
    const text = Buffer.from(String(data?.['.dockerconfigjson'] ?? ''), 'base64').toString()
    const { auths = {} } = JSON.parse(text) as { auths?: Record<string, Login> }
    for (const [host, { auth, username, password }] of Object.entries(auths)) {
      const login = auth || Buffer.from(`${username}:${password}`).toString('base64')
      keepSecret(login)
      logins.set(host.replace(/^https?:\/\//, '').replace(/\/.*$/, ''), login)
    }
  } catch {
    // a node would not understand it either, and say so
  }
  return { name: metadata.name, logins }
}

interface Login {
  auth?: string
  username?: string
  password?: string
}

/** Whether a registry says no; one that does not answer says nothing. */
const isDenied = (ask: () => Promise<unknown>): Promise<boolean> =>
  ask().then(
    () => false,
    error => error instanceof RegistryError && [401, 403].includes(error.status),
  )
