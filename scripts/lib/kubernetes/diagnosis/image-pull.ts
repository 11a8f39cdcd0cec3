// The part of the failure table on images that a node cannot pull. Pure.
import { findPullFailure, type PullFailure } from '../../engine/pull-failure.ts'
import type { Diagnosis, DiagnosisText } from './diagnosis.ts'

/**
 * ms: a registry is asked again after 10, 20 and 40 s: one that does not answer, or denies for a
 * moment what it has (docker/build-push-action#463).
 */
const registryGraceMs = 60_000
/** What another attempt does not change. */
const permanentFailures: PullFailure[] = ['platform', 'certificate', 'unencrypted']

const secrets = 'kubectl get serviceaccounts,secrets'
const nodes = 'kubectl describe nodes'

/** What each means, and what shows more; the registry itself is asked where nothing else is said. */
const explanations: Record<PullFailure, (image: string) => { likely: string; next?: string }> = {
  platform: image => ({ likely: `\`${image}\` is not built for this node's processor` }),
  proxy: () => ({
    likely:
      "the proxy between the node and the registry does not let it through: its address or login in the container runtime's settings is wrong",
    next: nodes,
  }),
  limit: () => ({
    likely:
      'the registry has had too many requests from the cluster: wait until its limit is over, or give the pods a pull secret, so that they count for an account',
    next: secrets,
  }),
  disk: () => ({
    likely: 'the disk of the node is full: remove images and logs from it, or give it a larger one',
    next: nodes,
  }),
  clock: () => ({
    likely:
      'the clock of the node is wrong, or the certificate of the registry has expired: the message names both times',
  }),
  certificate: () => ({
    likely:
      "the node does not trust the registry's certificate: give the container runtime of each node its authority, or the registry a certificate for this name",
  }),
  unencrypted: () => ({
    likely:
      'the registry speaks plain HTTP: give it a certificate, or allow plain HTTP in the container runtime of each node',
  }),
  name: () => ({
    likely:
      "the node cannot resolve the registry's name: the name is misspelt, or the node's DNS fails",
  }),
  content: () => ({
    likely:
      'what the node received is other than what its digest says: a proxy or a mirror in between changes it, or the registry is damaged',
  }),
  denied: image => ({
    likely: `the registry refuses the cluster \`${image}\`: its pull secret is missing, wrong or expired, or the image is not there`,
    next: secrets,
  }),
  missing: image => ({
    likely: `\`${image}\` is not in its registry: not built, not pushed, or its tag is misspelt`,
  }),
  registry: () => ({ likely: 'the registry itself fails' }),
  silent: () => ({ likely: 'the registry does not answer the node' }),
}

/**
 * Why an image is not there after `waited` ms. `texts`: what was said, in the container's state and,
 * of an attempt since, in the last event.
 */
export function diagnoseImagePull(
  found: (words: DiagnosisText) => Diagnosis,
  image: string,
  texts: string[],
  waited: number,
): Diagnosis | undefined {
  const { kind, text } = findPullFailure(texts)
  // a proxy that wants a login will go on to want it; one that is away may come
  const permanent =
    permanentFailures.includes(kind) || (kind === 'proxy' && /authentication required/i.test(text))
  if (!permanent && waited < registryGraceMs) return undefined
  const { likely, next = `docker buildx imagetools inspect ${image}` } = explanations[kind](image)
  return found({ message: text, likely, next })
}
