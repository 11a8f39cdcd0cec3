// What of an environment no volume of it holds: its Secrets, the keys that its sealed ones are opened with,
// Traefik's certificates for its hosts, and the release that serves.
import { Readable } from 'node:stream'
import { isApiSuccess, requestApi } from '../../kubernetes/api.ts'
import type { Environment } from '../../kubernetes/environment.ts'
import type { Manifest } from '../../kubernetes/objects.ts'
import { findCurrentRelease, readReleases } from '../../kubernetes/releases.ts'
import { readList } from '../../kubernetes/resources.ts'
import type { LeftOut } from '../manifest.ts'
import type { SavedSetting } from '../engine.ts'
import { findEdgeCertificates } from './certificates/save.ts'

const setting = (name: string, content: unknown): SavedSetting => ({
  name: `kubernetes/${name}.json`,
  read: () => Readable.from([Buffer.from(`${JSON.stringify(content, undefined, 2)}\n`)]),
})

/** Tokens are of one cluster only. */
const ofAnotherCluster = ['kubernetes.io/service-account-token', 'bootstrap.kubernetes.io/token']

/** A Secret as it can be applied elsewhere; who had made it does not matter there. */
const portable = ({ apiVersion, kind, type, data, metadata }: Manifest): Manifest => {
  const { name, labels, annotations } = metadata
  return {
    ...{ apiVersion, kind, type, data },
    metadata: { name, ...(labels ? { labels } : {}), ...(annotations ? { annotations } : {}) },
  }
}

/** The Secrets among objects, certificates too. */
export const selectSecrets = (all: Manifest[]): Manifest[] =>
  all
    .filter(({ kind, type }) => kind === 'Secret' && !ofAnotherCluster.includes(type as string))
    .map(portable)

/** What is stored of an environment beside its data, and what this account may not read. */
export async function listEnvironmentSettings(
  environment: Environment,
  all: Manifest[],
): Promise<{ settings: SavedSetting[]; leftOut: LeftOut[] }> {
  const release = findCurrentRelease(readReleases(all))
  const keys = await readSealingKeys(environment)
  const certificates = await findEdgeCertificates(environment)
  return {
    settings: [
      setting('secrets', selectSecrets(all)),
      ...(release ? [setting('release', release)] : []),
      ...(keys ? [setting('sealing-keys', keys)] : []),
      ...(certificates.store ? [setting('acme', certificates.store)] : []),
    ],
    leftOut: [...(keys ? [] : [sealingKeysLeftOut(environment)]), ...certificates.leftOut],
  }
}

async function readSealingKeys({
  sealedSecrets,
  ...environment
}: Environment): Promise<Manifest[] | undefined> {
  const query = new URLSearchParams({
    labelSelector: 'sealedsecrets.bitnami.com/sealed-secrets-key',
  })
  const path = `/api/v1/namespaces/${sealedSecrets.namespace}/secrets?${query}`
  const answer = await requestApi({ sealedSecrets, ...environment }, path)
  if (!isApiSuccess(answer)) return undefined
  const found = readList(JSON.parse(answer.text) as Manifest)
  return found.length ? found.map(portable) : undefined
}

const sealingKeysLeftOut = ({ sealedSecrets: { namespace } }: Environment): LeftOut => ({
  application: 'cluster',
  volume: 'sealing-keys',
  emptied: false,
  reason: `this account does not see the keys of Sealed Secrets: an administrator saves them with kubectl get secrets -n ${namespace} -l sealedsecrets.bitnami.com/sealed-secrets-key -o yaml`,
})
