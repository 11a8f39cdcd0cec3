// One `kubectl proxy` for each script: it handles every way to log in, and serves a socket in a
// folder that only this user can enter.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Failure, exit } from '../errors.ts'
import { startCompanion } from '../run/companion.ts'
import type { Environment } from './environment.ts'
import { createKubectlMissing, kubectlArgv, readKubectlError } from './kubectl.ts'

export interface KubectlProxy {
  /** Its kubeconfig and context. */
  key: string
  /** All that it has printed, with what a login plug-in said. */
  said: string
  socket: Promise<string>
  /** A WebSocket through it did not come about: no other is tried. */
  withoutWebSocket?: boolean
}
const proxies = new Map<string, KubectlProxy>()

/**
 * The proxy of the environment's context, started where there is none yet. `what` is being done, for
 * the error that its socket rejects with: Failure (refused).
 */
export function findKubectlProxy(environment: Environment, what?: string): KubectlProxy {
  const key = `${process.env.KUBECONFIG} ${environment.context}`
  const known = proxies.get(key)
  if (known) return known
  const proxy: KubectlProxy = { key, said: '', socket: Promise.resolve('') }
  proxy.socket = startProxy(environment, what, proxy)
  proxies.set(key, proxy)
  return proxy
}

/** The next request starts another. */
export function forgetProxy(proxy: KubectlProxy): void {
  if (proxies.get(proxy.key) === proxy) proxies.delete(proxy.key)
}

/** A connection that is dead is known as such in 25 s, not in 45: the lock must be renewed. */
const proxyEnv = { HTTP2_READ_IDLE_TIMEOUT_SECONDS: '10', HTTP2_PING_TIMEOUT_SECONDS: '15' }

function startProxy(
  environment: Environment,
  what = `Ask the cluster of ${environment.name}`,
  proxy: KubectlProxy,
): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'kgc-kubectl-'))
  const remove = () => rmSync(folder, { recursive: true, force: true })
  process.once('exit', remove)
  const socket = join(folder, 'api')
  // what may be asked is the account's matter, commands in containers too
  const argv = [
    ...kubectlArgv(environment),
    'proxy',
    '--unix-socket',
    socket,
    '--reject-paths',
    '^$',
  ]
  return new Promise((found, fail) => {
    const listen = (text: string) => {
      proxy.said += text
      if (!proxy.said.includes('Starting to serve')) return
      companion.leave()
      found(socket)
    }
    const end = (code: number) => {
      forgetProxy(proxy)
      remove()
      const why = readKubectlError({ stdout: '', stderr: proxy.said, code })
      fail(code === 127 ? createKubectlMissing(what) : new Failure(exit.refused, what, why))
    }
    const companion = startCompanion(argv, proxyEnv, listen)
    companion.ended.then(end, fail)
  })
}
