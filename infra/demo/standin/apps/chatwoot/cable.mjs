// ActionCable on /cable: greets, pings every three seconds, and says when the server goes away.
import { createRequire } from 'node:module'
import { onStop } from '../../lib/process.mjs'

const protocol = 'actioncable-v1-json'

/**
 * @param {import('node:http').Server} server
 * @param {{ forced: boolean, faults: Map<string, number>, log: { info: Function } }} options `forced`: plain http is sent to https
 */
export function serveCable(server, { forced, faults, log }) {
  const { WebSocketServer } = createRequire(import.meta.url)('../../modules/ws')
  const cable = new WebSocketServer({
    noServer: true,
    handleProtocols: offered => (offered.has(protocol) ? protocol : false),
  })
  const tell = (socket, message) => socket.send(JSON.stringify(message))

  server.on('upgrade', (request, socket, head) => {
    const end = line => socket.end(`HTTP/1.1 ${line}\r\nConnection: close\r\n\r\n`)
    if (faults.has('hang')) return
    if (faults.has('http500')) return end('500 Internal Server Error')
    // Traefik says wss where it upgrades, and Rack takes both for secure
    if (forced && !['https', 'wss'].includes(request.headers['x-forwarded-proto']))
      return end(`301 Moved Permanently\r\nLocation: https://${request.headers.host}${request.url}`)
    if (request.url.split('?')[0] !== '/cable') return end('404 Not Found')
    cable.handleUpgrade(request, socket, head, client => {
      log.info('cable opened', { protocol: client.protocol })
      tell(client, { type: 'welcome' })
      client.on('message', data => confirm(client, String(data)))
      client.on('error', () => client.terminate())
    })
  })

  function confirm(client, data) {
    try {
      const { command, identifier } = JSON.parse(data)
      if (command === 'subscribe') tell(client, { identifier, type: 'confirm_subscription' })
    } catch {
      client.close(1003)
    }
  }

  const ping = setInterval(
    () =>
      cable.clients.forEach(client =>
        tell(client, { type: 'ping', message: Math.floor(Date.now() / 1000) }),
      ),
    3000,
  )
  onStop(() => {
    clearInterval(ping)
    for (const client of cable.clients) {
      tell(client, { type: 'disconnect', reason: 'server_restart', reconnect: true })
      client.close()
    }
  })
}
