// Whether a deploy will change a database's schema, known before anything is touched: the image that migrates carries the schema's version as a label,
// and the release that serves has recorded where its databases are.
import type { Manifest } from '../cluster/cluster.ts'
import { contentsOf } from '../images/registry-manifest.ts'
import { parseImage } from '../images/registry.ts'
import { schemaLabel } from '../images/schema-version.ts'
import { title } from './manifests.ts'
import type { Heads } from './product.ts'
import { podOf } from './stamp.ts'

/** What the labels of a Job's images say of the databases' heads, in words; undefined where none names a schema. Pure. */
export function schemaWords(
  job: string,
  labels: Record<string, string>[],
  heads: Heads | undefined,
): string | undefined {
  const version = labels.map(all => all[schemaLabel]?.slice(0, 12)).find(Boolean)
  if (!version) return undefined
  // a head names the version among other things (heads.ts of an application)
  const here = Object.values(heads ?? {}).filter(head => /\bschema [0-9a-f]{12}\b/.test(head))
  if (here.some(head => head.includes(version))) return `${job}: the schema stays ${version}`
  return `${job}: the schema changes to ${version}${here.length ? `, from ${here.join('; ')}` : ''}`
}

/** The same of Jobs that are stamped; a registry that does not tell is passed over, with a word. */
export async function schemaChanges(jobs: Manifest[], heads: Heads | undefined): Promise<string[]> {
  const words = jobs.map(async job => {
    const images = (podOf(job).containers as { image: string }[]).map(({ image }) =>
      parseImage(image),
    )
    const labels = await Promise.all(
      images.map(async ({ name, digest }) =>
        digest ? (await contentsOf(name, digest)).labels : {},
      ),
    ).catch((error: Error) => error)
    return labels instanceof Error
      ? `${title(job)}: whether the schema changes is not known: ${labels.message}`
      : schemaWords(title(job), labels, heads)
  })
  return (await Promise.all(words)).flatMap(one => one ?? [])
}
