// A webhook of Slack's that keeps what it is told.
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface WebhookReceiver {
  address: string
  /** Everything, as it came. */
  bodies: string[]
  /** What each message is about: its title and the release. */
  said: () => string[]
}

/** The path is a secret: it must be seen nowhere. */
export async function startWebhookReceiver(
  path = '/services/T0/B0/hook',
): Promise<WebhookReceiver> {
  const bodies: string[] = []
  const server = createServer((request, answer) => {
    let body = ''
    request
      .on('data', data => (body += data))
      .on('end', () => {
        bodies.push(body)
        answer.end('ok')
      })
  })
  await new Promise<void>(done => server.listen(0, '127.0.0.1', done).unref())
  const said = () =>
    bodies.map(body => {
      const { text, blocks } = JSON.parse(body) as {
        text: string
        blocks: { fields?: { text: string }[] }[]
      }
      const [, release] =
        /\*Release\*\n`(\d+)`/.exec(
          blocks.flatMap(({ fields = [] }) => fields.map(({ text }) => text)).join('\n'),
        ) ?? []
      return `${text}: release ${release}`
    })
  return {
    address: `http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`,
    bodies,
    said,
  }
}
