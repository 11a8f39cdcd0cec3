// Webhooks as Sidekiq delivers them: signed, and only to public addresses unless the operator allows others.
import { createHmac, randomUUID } from 'node:crypto'
import { lookup } from 'node:dns/promises'
import { BlockList } from 'node:net'

const privateNetworks = new BlockList()
for (const [network, bits] of [
  ['10.0.0.0', 8],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['100.64.0.0', 10],
  ['0.0.0.0', 8],
])
  privateNetworks.addSubnet(network, bits, 'ipv4')
for (const [network, bits] of [
  ['fc00::', 7],
  ['fe80::', 10],
  ['::1', 128],
])
  privateNetworks.addSubnet(network, bits, 'ipv6')

/** Throws with the reason when nothing was delivered. */
export async function deliver({ url, secret, payload }, env) {
  const { hostname } = new URL(url)
  if (env.SAFE_FETCH_ALLOW_PRIVATE_NETWORK !== 'true') await demandPublic(hostname)
  const body = JSON.stringify(payload)
  const timestamp = String(Math.floor(Date.now() / 1000))
  const response = await fetch(url, {
    method: 'POST',
    body,
    signal: AbortSignal.timeout(5000),
    redirect: 'manual',
    headers: {
      'content-type': 'application/json',
      'X-Chatwoot-Signature': `sha256=${createHmac('sha256', secret).update(`${timestamp}.${body}`).digest('hex')}`,
      'X-Chatwoot-Timestamp': timestamp,
      'X-Chatwoot-Delivery': randomUUID(),
    },
  }).catch(error => {
    throw new Error(error.cause?.message ?? error.message)
  })
  if (!response.ok) throw new Error(`answered ${response.status}`)
  return `sent, ${response.status}`
}

async function demandPublic(hostname) {
  const addresses = await lookup(hostname, { all: true })
  if (
    !addresses.some(
      ({ address, family }) => !privateNetworks.check(address, family === 6 ? 'ipv6' : 'ipv4'),
    )
  )
    throw new Error(`Hostname '${hostname}' has no public ip addresses`)
}
