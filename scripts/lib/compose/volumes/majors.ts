// PostgreSQL reads the data of its own major alone (https://www.postgresql.org/docs/17/upgrading.html).
import type { Container } from '../containers.ts'
import type { Stack } from '../stack.ts'
import { exit, Failure } from '../../errors.ts'
import { run } from '../../run.ts'
import { readFromVolumes } from './files.ts'
import type { DatabaseVolume } from './secrets.ts'

/** A database whose image is of another major than its volume. */
export interface MajorChange {
  store: DatabaseVolume
  from: number
  to: number
}

/** The id of an image that is here, and its major, if it says that as the official one does. */
async function inspectImage(image: string): Promise<{ id: string; major: number }> {
  const format = '{{.Id}}{{range .Config.Env}}{{println}}{{.}}{{end}}'
  const { stdout } = await run(['docker', 'image', 'inspect', '--format', format, image], {
    nothrow: true,
  })
  const [id = ''] = stdout.split('\n')
  return { id, major: Number(/^PG_MAJOR=(\d+)$/m.exec(stdout)?.[1] ?? 0) }
}

/** The databases whose image, which is here, is of another major than what their volume holds. */
export async function findMajorChanges(
  stores: DatabaseVolume[],
  seen: Map<string, Container>,
): Promise<MajorChange[]> {
  const images = [...new Set(stores.map(({ image }) => image))]
  const known = new Map(
    await Promise.all(images.map(async image => [image, await inspectImage(image)] as const)),
  )
  const isRunning = ({ service, image }: DatabaseVolume) => {
    const { State, Image } = seen.get(service) ?? {}
    return State?.Status === 'running' && Image === known.get(image)!.id
  }
  const doubtful = stores.filter(store => !isRunning(store) && known.get(store.image)!.major)
  if (!doubtful.length) return []
  return [...(await readFromVolumes(doubtful, seen, 'PG_VERSION'))].flatMap(([store, text]) => {
    const [from, to] = [Number.parseInt(text, 10), known.get(store.image)!.major]
    return from && from !== to ? [{ store, from, to }] : []
  })
}

/** Throws Failure (refused) that names them: their servers would not start. */
export function refuseOtherMajors({ mode }: Stack, found: MajorChange[], what: string): void {
  const [first] = found
  if (!first) return
  const older = found.find(({ from, to }) => to < from)
  throw new Failure(
    exit.refused,
    what,
    `PostgreSQL ${first.to} does not read the data of ${first.from} in the volume ${first.store.volume}`,
    {
      evidence: found
        .map(({ store, from, to }) => `${store.service}: ${store.image} is ${to}, its data ${from}`)
        .join('\n'),
      next: older
        ? `put an image of ${older.from} back: nothing takes data to an older major but a backup of that time`
        : `npx zx scripts/up.ts ${mode} --upgrade --identity FILE: it takes the data over, and keeps the old volume`,
    },
  )
}
