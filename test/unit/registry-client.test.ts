// Registry client: how an image's name is read, and how its registry is asked.
import { createServer, type Server } from 'node:http'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { parseImage } from '../../scripts/lib/images/reference.ts'
import { fetchImageDigest } from '../../scripts/lib/images/registry/client.ts'

const test = suite('registry client')
const digest = `sha256:${'a'.repeat(64)}`

test('an image is read as its parts', () => {
  assert.equal(parseImage('redis'), {
    host: 'registry-1.docker.io',
    name: 'redis',
    repository: 'library/redis',
  })
  assert.equal(parseImage('twentycrm/twenty:v2'), {
    host: 'registry-1.docker.io',
    name: 'twentycrm/twenty',
    repository: 'twentycrm/twenty',
    tag: 'v2',
  })
  assert.equal(parseImage(`127.0.0.1:5001/a/b:c@${digest}`), {
    host: '127.0.0.1:5001',
    name: '127.0.0.1:5001/a/b',
    repository: 'a/b',
    tag: 'c',
    digest,
  })
  assert.is(parseImage('localhost:5000/a').tag, undefined)
})

/** A registry that wants a token. */

function registry(): Promise<{ server: Server; host: string; asked: string[] }> {
  const asked: string[] = []
  const server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`)
    if (request.url!.startsWith('/token'))
      return void response.end(JSON.stringify({ token: 'canary-token' }))
    if (request.url!.includes('/broken/')) return void response.writeHead(500).end()
    const { host } = request.headers
    if (request.headers.authorization !== 'Bearer canary-token')
      return void response
        .writeHead(401, {
          'www-authenticate': `Bearer realm="http://${host}/token",service="s",scope="repository:a:pull"`,
        })
        .end()
    if (request.url!.endsWith('/gone') || !request.headers.accept?.includes('oci.image.index'))
      return void response.writeHead(404).end()
    response.writeHead(200, { 'docker-content-digest': digest }).end()
  })
  return new Promise(done =>
    server.listen(0, '127.0.0.1', () =>
      done({ server, asked, host: `127.0.0.1:${(server.address() as { port: number }).port}` }),
    ),
  )
}

test('a registry is asked with a token of its own server; what is not there is said', async () => {
  const { server, host, asked } = await registry()
  process.env.DOCKER_CONFIG = '/nonexistent'
  const fails = (image: string) =>
    fetchImageDigest(image).then(
      () => '',
      error => (error as Error).message,
    )
  try {
    assert.is(await fetchImageDigest(`${host}/a:1`), digest)
    assert.equal(asked, [
      'HEAD /v2/a/manifests/1',
      'GET /token?service=s&scope=repository%3Aa%3Apull',
      'HEAD /v2/a/manifests/1',
    ])
    assert.is(await fails(`${host}/a:gone`), `it is not in ${host}`)
    assert.is(await fails(`${host}/broken/a:1`), `${host} answers 500`)
  } finally {
    server.close()
  }
  assert.match(await fails('127.0.0.1:9/a:1'), /cannot be reached|bad port/)
})

test.run()
