// Whether a deploy will change a database's schema, known before anything is touched: the migrating
// image has the schema version as a label, and the release that serves has recorded the versions of
// its databases.
import { resourceId, containerSpecsOf, type Manifest } from '../../kubernetes/objects.ts'
import { readImageContents } from '../../images/registry/manifests.ts'
import { parseImage } from '../../images/reference.ts'
import { schemaLabel } from '../../images/build/schema-version.ts'
import type { SchemaVersions } from './schema-versions.ts'

/**
 * What the labels of a Job's images say of the databases' heads, in words; undefined where none
 * names a schema. Pure.
 */
export function describeSchemaChange(
  job: string,
  labels: Record<string, string>[],
  heads: SchemaVersions | undefined,
): string | undefined {
  const version = labels.map(all => all[schemaLabel]?.slice(0, 12)).find(Boolean)
  if (!version) return undefined
  // an application's schema-version.ts names the version among other things
  const here = Object.values(heads ?? {}).filter(head => /\bschema [0-9a-f]{12}\b/.test(head))
  if (here.some(head => head.includes(version))) return `${job}: the schema stays ${version}`
  return `${job}: the schema changes to ${version}${here.length ? `, from ${here.join('; ')}` : ''}`
}

/** The same of Jobs that are stamped; a registry that does not tell is passed over, with a word. */
export async function listSchemaChanges(
  jobs: Manifest[],
  heads: SchemaVersions | undefined,
): Promise<string[]> {
  const words = jobs.map(async job => {
    const images = containerSpecsOf(job).map(({ image }) => parseImage(image))
    const labels = await Promise.all(
      images.map(async ({ name, digest }) =>
        digest ? (await readImageContents(name, digest)).labels : {},
      ),
    ).catch((error: Error) => error)
    return labels instanceof Error
      ? `${resourceId(job)}: it is not known whether the schema changes: ${labels.message}`
      : describeSchemaChange(resourceId(job), labels, heads)
  })
  return (await Promise.all(words)).flatMap(one => one ?? [])
}
