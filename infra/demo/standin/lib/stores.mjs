// PostgreSQL and Redis, through the packages pg and @redis/client (Dockerfile).
import { createRequire } from 'node:module'

const require = createRequire(import.meta.url)

/**
 * A pool of connections that survives a database that goes away and comes back.
 * @param {{ connectionString?: string, host?: string, port?: number, user?: string, password?: string, database?: string }} where
 * @param {{ warn(message: string, fields?: object): void }} log
 */
export function openPool(where, log) {
  const { Pool } = require('../modules/pg')
  const pool = new Pool({
    max: 3,
    connectionTimeoutMillis: 4000,
    query_timeout: 10_000,
    idleTimeoutMillis: 30_000,
    ...where,
  })
  pool.on('error', error => log.warn('database connection lost', { reason: error.message }))
  return pool
}

/** One connection of its own, for what must live exactly as long as the process: locks. */
export async function openClient(where) {
  const { Client } = require('../modules/pg')
  const client = new Client({ connectionTimeoutMillis: 4000, keepAlive: true, ...where })
  await client.connect()
  return client
}

/**
 * A connected client; the first connection must succeed, later ones are tried again.
 * @param {{ url: string, password?: string }} where
 * @param {{ warn(message: string, fields?: object): void }} log
 */
export async function openRedis({ url, password }, log) {
  const { createClient } = require('../modules/@redis/client')
  let connected = false
  const client = createClient({
    url,
    ...(password ? { password } : {}),
    disableOfflineQueue: true,
    socket: {
      connectTimeout: 4000,
      reconnectStrategy: tries =>
        connected ? Math.min(tries * 200, 2000) : new Error(`no answer from ${new URL(url).host}`),
    },
  })
  let last = ''
  client.on('error', error => {
    if (error.message !== last) log.warn('redis connection', { reason: error.message })
    last = error.message
  })
  client.on('ready', () => (last = ''))
  await client.connect()
  connected = true
  return client
}

/** `work`, or an error after so many milliseconds. */
export function within(milliseconds, work) {
  let timer
  const late = new Promise(
    (_, reject) =>
      (timer = setTimeout(
        () => reject(new Error(`no answer within ${milliseconds} ms`)),
        milliseconds,
      )),
  )
  return Promise.race([work, late]).finally(() => clearTimeout(timer))
}
