// One mail over SMTP, with Chatwoot's settings and Net::SMTP's manners.
import { randomBytes } from 'node:crypto'
import { connect } from 'node:net'
import { hostname } from 'node:os'
import { createInterface } from 'node:readline'
import { connect as connectTls } from 'node:tls'
import { Broken } from '../../lib/log.mjs'

/**
 * @param {{ to: string, subject: string, body: string }} mail
 * @returns {Promise<string>} the server's words
 */
export async function sendMail({ to, subject, body }, env) {
  if (!env.SMTP_ADDRESS)
    throw new Broken('KGC failed: SMTP_ADDRESS is empty: Chatwoot sends no mail')
  const port = Number(env.SMTP_PORT || 587)
  const tls = {
    servername: env.SMTP_ADDRESS,
    rejectUnauthorized: env.SMTP_OPENSSL_VERIFY_MODE !== 'none',
  }
  const place = { host: env.SMTP_ADDRESS, port }
  const implicit = env.SMTP_TLS === 'true'
  let talk = conversation(implicit ? connectTls({ ...place, ...tls }) : connect(place))
  try {
    await talk('', 220)
    const hello = await talk(`EHLO ${env.SMTP_DOMAIN || hostname()}`, 250)
    if (!implicit && /STARTTLS/i.test(hello) && env.SMTP_ENABLE_STARTTLS_AUTO !== 'false') {
      await talk('STARTTLS', 220)
      talk = conversation(connectTls({ socket: talk.socket, ...tls }))
      await talk(`EHLO ${env.SMTP_DOMAIN || hostname()}`, 250)
    }
    // also when it is empty: Ruby takes the empty text for a name, and logs in (chatwoot#12192)
    if (env.SMTP_USERNAME !== undefined) await logIn(talk, env)
    await talk(`MAIL FROM:<${env.MAILER_SENDER_EMAIL}>`, 250)
    await talk(`RCPT TO:<${to}>`, 250)
    await talk('DATA', 354)
    const head = [
      `From: ${env.MAILER_SENDER_EMAIL}`,
      `To: ${to}`,
      `Subject: ${subject}`,
      `Date: ${new Date().toUTCString()}`,
      `Message-ID: <${randomBytes(12).toString('hex')}@${hostname()}>`,
    ]
    const words = await talk(
      [...head, '', ...body.split('\n').map(line => line.replace(/^\./, '..')), '.'].join('\r\n'),
      250,
    )
    await talk('QUIT', 221).catch(() => {})
    return words
  } catch (error) {
    throw new Broken(`KGC failed: ${error.message}`)
  } finally {
    talk.socket.destroy()
  }
}

async function logIn(
  talk,
  { SMTP_USERNAME: user, SMTP_PASSWORD: password = '', SMTP_AUTHENTICATION: how },
) {
  const base64 = text => Buffer.from(text).toString('base64')
  if (how !== 'login') return talk(`AUTH PLAIN ${base64(`\0${user}\0${password}`)}`, 235)
  await talk('AUTH LOGIN', 334)
  await talk(base64(user), 334)
  await talk(base64(password), 235)
}

/** Returns a function that says a line and gives the reply; it throws with a reply that is not the wanted one. */
function conversation(socket) {
  socket.setTimeout(10_000, () => socket.destroy(new Error('the mail server says nothing')))
  const lines = createInterface({ input: socket, crlfDelay: Infinity })
  const replies = []
  let waiting
  let reply = ''
  const give = value => {
    if (!waiting) return void replies.push(value)
    waiting(value)
    waiting = undefined
  }
  lines.on('line', line => {
    reply += `${line}\n`
    if (/^\d{3}( |$)/.test(line)) {
      give(reply.trim())
      reply = ''
    }
  })
  socket.on('error', give)
  socket.on('close', () => give(new Error('the mail server hung up')))
  const talk = async (line, wanted) => {
    if (line) socket.write(`${line}\r\n`)
    const answer = replies.length
      ? replies.shift()
      : await new Promise(resolve => (waiting = resolve))
    if (answer instanceof Error) throw answer
    if (!answer.startsWith(String(wanted))) throw new Error(answer)
    return answer
  }
  return Object.assign(talk, { socket })
}
