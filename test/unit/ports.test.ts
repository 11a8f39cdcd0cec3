// Which ports count as taken, for a user who is not root, and when the stack runs already.
import { createServer, Server, type AddressInfo } from 'node:net'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { ComposeConfig } from '../../scripts/lib/compose/stack.ts'
import type { Container } from '../../scripts/lib/compose/containers.ts'
import { isListening, findTakenPorts } from '../../scripts/lib/compose/ports.ts'
import { fakes } from '../fakes.ts'

const test = suite('ports')
const programs = fakes(['docker', 'ss'])
const path = process.env.PATH
Object.assign(process.env, programs.env)

const wants = (...ports: number[]): ComposeConfig => ({
  name: 'p',
  services: { edge: { ports: ports.map(port => ({ target: 80, published: String(port) })) } },
})
const running = (...ports: number[]) => {
  const Ports = {
    '80/tcp': ports.map(port => ({ HostIp: '0.0.0.0', HostPort: String(port) })),
    '443/tcp': null,
  }
  return [
    {
      Config: { Labels: { 'com.docker.compose.service': 'edge' } },
      NetworkSettings: { Ports },
    } as unknown as Container,
  ]
}

/**
 * The kernel's answer to a user who is not root and wants a port below 1024; root would be let in
 * (Debian's Node refuses to become another user). Out: what takes it back.
 */
function refusePrivilegedPorts(): () => void {
  const listen = Server.prototype.listen
  Server.prototype.listen = function (this: Server, ...argv: unknown[]) {
    const [options] = argv as [{ port?: number }]
    const refused = Object.assign(new Error('listen EACCES'), { code: 'EACCES' })
    if ((options.port ?? 0) >= 1024) return Reflect.apply(listen, this, argv) as Server
    process.nextTick(() => this.emit('error', refused))
    return this
  } as typeof listen
  return () => (Server.prototype.listen = listen)
}

/** The ports that are taken for a user; `ss` says this of those that only root may listen on. */
async function taken(all: ComposeConfig, seen: Container[] = [], lines = ''): Promise<number[]> {
  programs.answer([
    { call: /^docker ps/ },
    { call: /^ss -Hltnp/ },
    { call: /^ss -Hltn /, stdout: lines },
  ])
  process.env.PATH = `${programs.bin}:${path}`
  const found = await findTakenPorts(all, ['edge'], seen).finally(() => (process.env.PATH = path))
  return found.map(({ port }) => port)
}

test('a port that another has is taken, though the service runs: only what its own container publishes is its own', async () => {
  const server = createServer().listen(0, '0.0.0.0').unref()
  await new Promise(done => server.once('listening', done))
  const { port } = server.address() as AddressInfo
  assert.equal(await taken(wants(port)), [port])
  assert.equal(await taken(wants(port), running(1)), [port])
  assert.equal(await taken(wants(port), running(1, port)), [])
  server.close()
})

test('Mailu/Mailu#321, #422: a listener on IPv6 alone is in the way of a port without an address, once', async () => {
  const server = createServer().listen({ host: '::', port: 0, ipv6Only: true }).unref()
  await new Promise(done => server.once('listening', done))
  const { port } = server.address() as AddressInfo
  assert.equal(await taken(wants(port)), [port])
  server.close()
  const line = 'LISTEN 0 5 [::1]:80 [::]:*\n'
  assert.equal(
    [isListening(line, '::'), isListening(line.replace('[::1]', '0.0.0.0'), '::')],
    [true, false],
  )
})

test('a port that only root may take is looked up: taken when something listens there, free when nothing does', async () => {
  const allow = refusePrivilegedPorts()
  const line = 'LISTEN 0      511          0.0.0.0:1        0.0.0.0:*   \n'
  const found = [await taken(wants(1), [], line), await taken(wants(1))]
  allow()
  assert.equal(found, [[1], []])
})

test('an address is in the way of itself and of all, and all of each', () => {
  const line = (address: string) =>
    `LISTEN 0      4096   ${address}:80   0.0.0.0:*\nLISTEN 0 5 192.0.2.7:80 0.0.0.0:*\n`
  for (const address of ['0.0.0.0', '*', '[::]', '127.0.0.1', '127.0.0.1%lo'])
    assert.ok(isListening(line(address), '127.0.0.1'), address)
  for (const address of ['127.0.0.53%lo', '[::1]', '10.0.0.1']) {
    assert.not.ok(isListening(line(address), '127.0.0.1'), address)
    assert.ok(isListening(line(address), '0.0.0.0'), address)
  }
  assert.not.ok(isListening('', '0.0.0.0'))
})

test.run()
