// What keeps the edge from serving an application that has no administrator yet: its router asks
// for the middleware `open-<folder>@file`, and Traefik leaves a router out whose middleware does
// not exist. `make admin` writes it where Traefik reads, into a volume of the stack. On Kubernetes
// the door is a label of the Ingress (kubernetes-target.ts).
import { join } from 'node:path'
import { existsSync } from 'node:fs'
import { pollUntilFound } from './checks.ts'
import { runCompose, readComposeConfig, type ComposeConfig, type Stack } from '../compose/stack.ts'
import type { Edge } from './edge.ts'
import { dockerFolder } from '../repository.ts'

const own = new Map([
  [404, '404 page not found'],
  [502, 'Bad Gateway'],
  [503, 'no available server'],
  [504, 'Gateway Timeout'],
])

/** Whether an answer is Traefik's own or one of its pages, because nobody is behind the address. */
export const isTraefikAnswer = ({ status, body }: { status: number; body: string }): boolean =>
  body.trim() === own.get(status) || (own.has(status) && body.includes('content="error-pages"'))

/**
 * The edge for an application that an administrator opens: Traefik's own answer is an error there,
 * so that a check that expects a closed door is not green because nobody is at home.
 */
export function rejectTraefikAnswers(edge: Edge, folder: string): Edge {
  if (!existsSync(join(dockerFolder, folder, 'admin.ts'))) return edge
  return {
    ...edge,
    async get(url, ask) {
      const answer = await edge.get(url, ask)
      if (!isTraefikAnswer(answer)) return answer
      throw new Error(
        `away: ${url} is answered by Traefik itself (${answer.status}): no application is behind it, or it is closed until \`make admin APP=${folder}\``,
      )
    },
  }
}

/** The hosts whose routers wait for that door. Pure. */
export function hostsBehind(
  { services }: Pick<ComposeConfig, 'services'>,
  folder: string,
): string[] {
  const labels = Object.values(services).flatMap(({ labels = {} }) => Object.entries(labels))
  const routers = labels
    .filter(
      ([key, value]) =>
        key.endsWith('.middlewares') && value.split(',').includes(`open-${folder}@file`),
    )
    .map(([key]) => key.replace(/middlewares$/, 'rule'))
  return labels
    .filter(([key]) => routers.includes(key))
    .flatMap(([, rule]) => [...rule.matchAll(/Host\(`([^`]+)`\)/g)].map(([, host]) => host!))
}

/** Opens an application's door and waits until the edge serves it; returns a few words, '' when it has none. Throws when the edge does not run. */
export async function openDoor(
  stack: Stack,
  folder: string,
  edge: Edge,
  address: (subdomain: string) => string,
): Promise<string> {
  const hosts = hostsBehind(await readComposeConfig(stack), folder)
  if (!hosts.length) return ''
  // a middleware that changes nothing: `application` sets the same header
  const text = JSON.stringify({
    http: { middlewares: { [`open-${folder}`]: { headers: { contentTypeNosniff: true } } } },
  })
  const script =
    'file=/etc/traefik/dynamic/doors/$0.yml; cat > "$file.new" && mv "$file.new" "$file"'
  const written = await runCompose(stack, ['exec', '-T', 'traefik', 'sh', '-c', script, folder], {
    input: text,
    nothrow: true,
  })
  if (written.code !== 0)
    return `Traefik does not run, so the host stays closed: the same command again when it runs`
  // Traefik watches the folder, but not the folders in it
  await runCompose(stack, ['kill', '--signal', 'HUP', 'traefik'], {
    what: 'Open the host in Traefik',
  })
  const port = new URL(address('x')).port
  const url = `https://${hosts[0]}${port ? `:${port}` : ''}/`
  const open = await pollUntilFound(
    async () => ((await edge.get(url).then(isTraefikAnswer, () => true)) ? undefined : true),
    20,
  )
  if (!open)
    throw new Error(
      `${url} is still answered by Traefik itself: is the application healthy? docker compose -p ${stack.project} logs traefik`,
    )
  return `${hosts[0]} is open`
}
