// A way to a server, which can be cut: nobody else who goes there notices.
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'

export interface CuttableProxy {
  port: number
  /**
   * `closed`: connections are reset; `silent`: nobody answers; undefined: it is open again. Those
   * that there are end.
   */
  cut: (how: 'closed' | 'silent' | undefined) => void
  close: () => Server
}

/** A way to a port of this machine, on a port of its own. */
export function startProxy(to: number): Promise<CuttableProxy> {
  let how: 'closed' | 'silent' | undefined
  const open = new Set<Socket>()
  const server = createServer(from => {
    open.add(from)
    from.on('error', () => {}).on('close', () => open.delete(from))
    if (how === 'closed') from.destroy()
    if (how) return
    const there = connect(to, '127.0.0.1')
    there.on('error', () => from.destroy())
    // a pipe ends neither side when the other goes: what nobody reads would keep the process
    from.on('close', () => there.destroy())
    from.pipe(there).pipe(from)
  })
  const cut: CuttableProxy['cut'] = now => {
    how = now
    for (const one of open) one.destroy()
  }
  const close = () => {
    cut('closed')
    return server.close()
  }
  const ready = () => ({ port: (server.address() as AddressInfo).port, cut, close })
  return new Promise(done => server.listen(0, '127.0.0.1', () => done(ready())).unref())
}
