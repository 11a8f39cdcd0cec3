// An image of the test cluster's registry once more, with labels.
import { createHash } from 'node:crypto'
import { registry } from './cluster.ts'

const digestOf = (text: string): string =>
  `sha256:${createHash('sha256').update(text).digest('hex')}`

async function ask(path: string, init: RequestInit = {}): Promise<Response> {
  const answer = await fetch(path.startsWith('http') ? path : `http://${registry}/v2/${path}`, init)
  if (!answer.ok) throw new Error(`the registry: ${path} ${answer.status} ${await answer.text()}`)
  return answer
}

/** Gives an image (`kgc-demo/postgres:17`) labels and another tag. Out: its name. */
export async function labelImage(
  image: string,
  tag: string,
  labels: Record<string, string>,
): Promise<string> {
  const [repository = '', from] = image.split(':')
  const accept =
    'application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json'
  const found = await ask(`${repository}/manifests/${from}`, { headers: { accept } })
  const manifest = (await found.json()) as { config: { digest: string; size: number } }
  const blob = await ask(`${repository}/blobs/${manifest.config.digest}`)
  const config = (await blob.json()) as { config: { Labels?: object } }
  config.config.Labels = { ...config.config.Labels, ...labels }
  const text = JSON.stringify(config)
  const digest = digestOf(text)
  const upload = await ask(`${repository}/blobs/uploads/`, { method: 'POST' })
  const place = new URL(upload.headers.get('location')!, `http://${registry}`)
  place.searchParams.set('digest', digest)
  const headers = { 'content-type': 'application/octet-stream' }
  await ask(place.href, { method: 'PUT', headers, body: text })
  await ask(`${repository}/manifests/${tag}`, {
    method: 'PUT',
    headers: { 'content-type': found.headers.get('content-type')! },
    body: JSON.stringify({
      ...manifest,
      config: { ...manifest.config, digest, size: text.length },
    }),
  })
  return `${registry}/${repository}:${tag}`
}
