// Servers that restart for a new password: after all that reads it, because they begin with it alone. Pure.
import { resourceId, type Manifest } from '../../kubernetes/objects.ts'
import { findPasswordServers } from '../../kubernetes/rotation/servers.ts'
import { configChecksumAnnotation } from '../apply/checksums.ts'

const stampOf = ({ spec }: Manifest): string | undefined =>
  spec.template.metadata?.annotations?.[configChecksumAnnotation]

/** A workload without its stamp. */
function withoutStamp({ spec }: Manifest): string {
  const { template } = spec
  const { [configChecksumAnnotation]: _, ...annotations } = template.metadata?.annotations ?? {}
  return JSON.stringify({
    ...spec,
    template: { ...template, metadata: { ...template.metadata, annotations } },
  })
}

/**
 * The Redis among `all` that read other settings than in `before` (a release, or what the cluster has).
 * `alone`: only those of which nothing else changes; one that does not work must not wait for pods that
 * need it.
 */
export function findLateServers(
  all: Manifest[],
  before: Manifest[],
  { alone = false } = {},
): Manifest[] {
  const names = findPasswordServers(all).flatMap(one => (one.kind === 'redis' ? one.name : []))
  return all.filter(one => {
    if (one.kind !== 'StatefulSet' || !names.includes(one.metadata.name)) return false
    const old = before.find(other => resourceId(other) === resourceId(one))
    if (!old || stampOf(old) === stampOf(one)) return false
    return !alone || withoutStamp(old) === withoutStamp(one)
  })
}
