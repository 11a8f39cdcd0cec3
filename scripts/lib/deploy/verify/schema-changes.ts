// Whether a deploy will change a database's schema, known before anything is touched: the migrating
// image has the schema version as a label, and the databases say theirs.
import { containerSpecsOf, type Manifest } from '../../kubernetes/objects.ts'
import { readImageContents } from '../../images/registry/manifests.ts'
import { parseImage } from '../../images/reference.ts'
import { schemaLabel } from '../../images/build/schema-version.ts'
import type { SchemaVersions } from './schema-versions.ts'

/** What is known of a workload's migrations by the labels of its images. */
export interface SchemaChange {
  /** Whether its schema is another one than the databases'; undefined: no label says. */
  moves: boolean | undefined
  /** For people; undefined where no label names a schema. */
  words: string | undefined
}

/** The schema that labels name, in the length in which the databases record it. */
const schemaOf = (labels: Record<string, string>[]): string | undefined =>
  labels.map(all => all[schemaLabel]?.slice(0, 12)).find(Boolean)

/** What the labels of a workload's images say beside the databases' heads. Pure. */
export function judgeSchema(
  name: string,
  labels: Record<string, string>[],
  heads: SchemaVersions | undefined,
): SchemaChange {
  const version = schemaOf(labels)
  if (!version) return { moves: undefined, words: undefined }
  // an application's schema-version.ts names the version among other things
  const here = Object.values(heads ?? {}).filter(head => /\bschema [0-9a-f]{12}\b/.test(head))
  if (here.some(head => head.includes(version)))
    return { moves: false, words: `${name}: the schema stays ${version}` }
  const from = here.length ? `, from ${here.join('; ')}` : ''
  return { moves: true, words: `${name}: the schema changes to ${version}${from}` }
}

/** The labels of the images of a workload that is stamped; an Error where its registry does not tell. */
export async function readSchemaLabels(
  workload: Manifest,
): Promise<Record<string, string>[] | Error> {
  const images = containerSpecsOf(workload).map(({ image }) => parseImage(image))
  return Promise.all(
    images.map(async ({ name, digest }) =>
      digest ? (await readImageContents(name, digest)).labels : {},
    ),
  ).catch((error: Error) => error)
}
