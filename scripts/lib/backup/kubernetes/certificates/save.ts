// What a backup takes of Traefik's certificates: those of the environment's own hosts, where the account
// may look into Traefik's pod. The data does not wait for them: an authority gives new ones.
import { Failure } from '../../../errors.ts'
import { isApiSuccess, requestApi } from '../../../kubernetes/api.ts'
import type { Environment } from '../../../kubernetes/environment.ts'
import type { Manifest } from '../../../kubernetes/objects.ts'
import { findMissingPermissions } from '../../../kubernetes/permissions.ts'
import { readList, resourcePath } from '../../../kubernetes/resources.ts'
import type { LeftOut } from '../../manifest.ts'
import { edgeName, edgeOf, findStorage, openEdge, readStore } from './edge.ts'
import { countCertificates, selectForHosts, type CertificateStore } from './store.ts'

/** What looking into Traefik's pod takes, in its namespace. */
export const edgePermissions = ['list pods', 'create pods/exec']

const resolverAnnotation = 'traefik.ingress.kubernetes.io/router.tls.certresolver'

/** The resolvers that Ingresses name, and the hosts that they name them for. Pure. */
export function findResolvers(ingresses: Manifest[]): { resolvers: string[]; hosts: string[] } {
  const resolved = ingresses.filter(
    ({ metadata }) => metadata.annotations?.[resolverAnnotation] !== undefined,
  )
  return {
    resolvers: [
      ...new Set(resolved.map(({ metadata }) => metadata.annotations![resolverAnnotation]!)),
    ],
    hosts: [
      ...new Set(
        resolved.flatMap(({ spec }) =>
          ((spec.rules ?? []) as { host?: string }[]).flatMap(({ host }) => host ?? []),
        ),
      ),
    ],
  }
}

const byHand = `kubectl exec -n ${edgeName} deployment/${edgeName} -- cat /acme/acme.json`

const leaveOut = (reason: string): { leftOut: LeftOut[] } => ({
  leftOut: [{ application: 'traefik', volume: 'traefik-acme', emptied: false, reason }],
})

/** The certificates of an environment's hosts, or why they are not in its backup; neither where Traefik asks for none. */
export async function findEdgeCertificates(
  environment: Environment,
): Promise<{ store?: CertificateStore; leftOut: LeftOut[] }> {
  const found = await readResolvers(environment)
  if (found && !found.resolvers.length) return { leftOut: [] }
  const denied = await findMissingPermissions(edgeOf(environment), edgePermissions)
  if (!found || denied.length)
    return leaveOut(
      `this account does not see Traefik's certificates: a backup by an administrator has them, or ${byHand}`,
    )
  try {
    const store = await readOwn(environment, found)
    if (countCertificates(store)) return { store, leftOut: [] }
    return leaveOut('Traefik has no certificate for the hosts of this environment yet')
  } catch (error) {
    if (error instanceof Failure) return leaveOut(`${error.what}: ${error.why}`)
    throw error
  }
}

/** undefined: this account does not see the Ingresses. */
async function readResolvers(
  environment: Environment,
): Promise<ReturnType<typeof findResolvers> | undefined> {
  const path = resourcePath(environment, 'networking.k8s.io/v1/ingresses')
  const answer = await requestApi(environment, path)
  if (!isApiSuccess(answer)) return undefined
  return findResolvers(readList(JSON.parse(answer.text) as Manifest))
}

async function readOwn(
  environment: Environment,
  { resolvers, hosts }: { resolvers: string[]; hosts: string[] },
): Promise<CertificateStore> {
  const shell = await openEdge(environment)
  const own: CertificateStore = {}
  for (const resolver of resolvers) {
    const path = await findStorage(shell, resolver)
    if (!path) continue
    const { store } = await readStore(shell, path)
    Object.assign(own, selectForHosts(store, [resolver], hosts, Date.now()))
  }
  return own
}
