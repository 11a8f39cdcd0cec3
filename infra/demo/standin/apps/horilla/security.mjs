// Django's checks, as far as a deployment can get them wrong: the CSRF token and origin, signed tokens, throttles.
import { createHmac, timingSafeEqual } from 'node:crypto'

/** @returns {Record<string, string>} */
export const cookiesOf = request =>
  Object.fromEntries(
    (request.headers.cookie ?? '')
      .split(/; */)
      .filter(Boolean)
      .map(pair => [pair.split('=')[0], pair.slice(pair.indexOf('=') + 1)]),
  )

/** Why a POST is refused, or undefined: its origin must be a trusted one and its form's token that of the cookie. */
export function csrfFailure(request, trusted) {
  const { origin, referer } = request.headers
  const source = origin ?? (URL.canParse(referer ?? '') ? new URL(referer).origin : undefined)
  if (!source) return 'Referer checking failed - no Referer.'
  if (!trusted.includes(source))
    return 'Origin checking failed - it does not match any trusted origins.'
  const { csrftoken } = cookiesOf(request)
  if (!csrftoken) return 'CSRF cookie not set.'
  if (request.form().get('csrfmiddlewaretoken') !== csrftoken)
    return 'CSRF token from POST incorrect.'
}

const encode = value => Buffer.from(JSON.stringify(value)).toString('base64url')
const signature = (body, key) => createHmac('sha256', key).update(body).digest('base64url')

/** A JWT for a user, of a kind, for so many seconds; another SECRET_KEY makes it worthless. */
export function sign(user, kind, seconds, key) {
  const body = `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode({ user_id: user, token_type: kind, exp: Math.floor(Date.now() / 1000) + seconds })}`
  return `${body}.${signature(body, key)}`
}

/** The user's id, or undefined when the token is of another kind or key, or too old. */
export function verify(token, kind, key) {
  const [head, body, mark] = (token ?? '').split('.')
  if (!mark) return
  const [given, own] = [mark, signature(`${head}.${body}`, key)].map(text => Buffer.from(text))
  if (given.length !== own.length || !timingSafeEqual(given, own)) return
  const claims = JSON.parse(Buffer.from(body, 'base64url').toString())
  return claims.token_type === kind && claims.exp * 1000 > Date.now() ? claims.user_id : undefined
}

/**
 * Counts by key within a window: `12/min`.
 * @returns {(key: unknown) => number} seconds to wait, 0 when the request may pass
 */
export function limiter(rate) {
  const [, count, unit] = /^(\d+)\/(s|m|h|d)/.exec(rate) ?? []
  if (!count) throw new Error(`a throttle must look like 12/min, not ${rate}`)
  const window = { s: 1, m: 60, h: 3600, d: 86_400 }[unit] * 1000
  const seen = new Map()
  return key => {
    const times = (seen.get(key) ?? []).filter(time => time > Date.now() - window)
    if (times.length >= Number(count)) return Math.ceil((times[0] + window - Date.now()) / 1000)
    seen.set(key, [...times, Date.now()])
    return 0
  }
}
