// Real repositories served by git's own server over HTTP on this machine, as GitHub serves them:
// parts of them, and any commit by its number.
import { spawn } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { execFileSync } from 'node:child_process'
import { git } from './git.ts'

const backend = join(
  execFileSync('git', ['--exec-path'], { encoding: 'utf8' }).trim(),
  'git-http-backend',
)

/** Starts one; it ends with the process. */
export async function gitServer() {
  const root = mkdtempSync(join(tmpdir(), 'kgc-git-server-'))
  process.once('exit', () => rmSync(root, { recursive: true, force: true }))
  const traffic = { sent: 0, requests: [] as string[] }
  /** How many of the next fetches break off after some bytes. */
  const cut = { fetches: 0 }

  const server = createServer((request, response) => {
    const { pathname, search } = new URL(request.url!, 'http://x')
    traffic.requests.push(`${request.method} ${pathname}`)
    const child = spawn(backend, {
      env: {
        PATH: process.env.PATH,
        GIT_PROJECT_ROOT: root,
        GIT_HTTP_EXPORT_ALL: '1',
        GIT_CONFIG_GLOBAL: '/dev/null',
        GIT_CONFIG_SYSTEM: '/dev/null',
        ...variables(request, pathname, search),
      },
    })
    let fetches = false
    request.on('data', piece => (fetches ||= String(piece).includes('command=fetch')))
    request.pipe(child.stdin)
    child.stdin.on('error', () => {})
    relay(child.stdout, response, bytes => {
      traffic.sent += bytes
      if (response.destroyed || !fetches || cut.fetches < 1) return true
      cut.fetches--
      return false
    })
  })
  await new Promise<void>(done => server.listen(0, '127.0.0.1', done))
  server.unref()
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`

  /** Puts a repository there under a name like `acme/app`. Out: its folder. */
  function serve(name: string, from: string): string {
    const folder = join(root, `${name}.git`)
    mkdirSync(dirname(folder), { recursive: true })
    if (from.endsWith('.git')) cpSync(from, folder, { recursive: true })
    else git(root, 'clone', '--quiet', '--bare', from, folder)
    for (const key of ['uploadpack.allowFilter', 'uploadpack.allowAnySHA1InWant'])
      git(folder, 'config', key, 'true')
    git(folder, 'config', 'http.receivepack', 'true')
    return folder
  }

  return {
    url,
    traffic,
    cut,
    serve,
    folder: (name: string) => join(root, `${name}.git`),
    address: (name: string) => `${url}/${name}.git`,
    close: () => {
      server.close()
      server.closeAllConnections()
    },
  }
}

/** What CGI tells a program of a request. */
function variables({ headers, method }: IncomingMessage, path: string, search: string) {
  return {
    PATH_INFO: decodeURI(path),
    QUERY_STRING: search.slice(1),
    REQUEST_METHOD: method,
    REMOTE_ADDR: '127.0.0.1',
    CONTENT_TYPE: headers['content-type'] ?? '',
    CONTENT_LENGTH: headers['content-length'] ?? '',
    HTTP_CONTENT_ENCODING: headers['content-encoding'] ?? '',
    GIT_PROTOCOL: String(headers['git-protocol'] ?? ''),
  }
}

/** Passes on what a CGI program answers: its headers, then the rest as it comes. */
function relay(
  from: NodeJS.ReadableStream,
  response: ServerResponse,
  mayPass: (bytes: number) => boolean,
): void {
  let head: Buffer | undefined = Buffer.alloc(0)
  from.on('data', (piece: Buffer): void => {
    let body = piece
    if (head) {
      head = Buffer.concat([head, piece])
      const end = head.indexOf('\r\n\r\n')
      if (end < 0) return
      writeHead(head.subarray(0, end).toString(), response)
      body = head.subarray(end + 4)
      head = undefined
    }
    if (mayPass(body.length)) return void response.write(body)
    // after some bytes: a client asks again by itself where there was none
    from.removeAllListeners('end')
    response.write(body.subarray(0, body.length / 2), () => response.destroy())
  })
  from.on('end', () => response.end())
}

function writeHead(text: string, response: ServerResponse): void {
  const headers = text.split('\r\n').map(line => line.split(': ') as [string, string])
  const status = headers.find(([name]) => name === 'Status')?.[1]
  response.statusCode = Number.parseInt(status ?? '200')
  for (const [name, value] of headers) if (name !== 'Status') response.setHeader(name, value)
}
