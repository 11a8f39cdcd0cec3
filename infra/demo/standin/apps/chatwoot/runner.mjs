// `rails runner -`: no Ruby here. It knows the project's own scripts by the calls in them, and does only what they ask for:
// a script that forgets to clear the onboarding flag leaves it open here as well.
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { Broken } from '../../lib/log.mjs'
import { sendMail } from './mail.mjs'
import { hashPassword, onboarding } from './stores.mjs'

/** Runs the script from standard input. */
export async function runner({ env, rest }, { pool, redis }) {
  if (rest.join(' ') !== '-')
    throw new Broken('the stand-in runs scripts from standard input only: rails runner -')
  const script = readFileSync(0, 'utf8')
  const asks = pattern => new RegExp(pattern).test(script)
  const data = heredoc(script)
  if (asks('ActionMailer::Base\\.mail\\(') && asks('deliver_now'))
    return report(script, { mail: await sendMail(data, env) })
  if (!asks('SuperAdmin\\.new|AccountUser\\.|Alfred\\.delete'))
    throw new Broken('the stand-in has no Ruby and does not know this script')

  const done = {}
  const account = asks('Account\\.create!')
    ? await firstAccount(pool, data, done, locale(script, env))
    : undefined
  const user = asks('SuperAdmin\\.new')
    ? await superAdmin(pool, data, done, asks('skip_confirmation!'))
    : undefined
  if (account && user && asks('AccountUser\\.') && asks('role: :administrator'))
    await pool.query(
      "INSERT INTO account_users VALUES ($1, $2, 'administrator') ON CONFLICT DO NOTHING",
      [account, user],
    )
  if (asks('Redis::Alfred\\.delete\\((::)?Redis::Alfred::CHATWOOT_INSTALLATION_ONBOARDING\\)'))
    done.onboarding = (await redis.del(onboarding)) ? 'closed' : 'was closed'
  report(script, done)
}

/** What the script's own last line prints. */
function report(script, done) {
  if (/^\s*puts "KGC /m.test(script)) console.log(`KGC ${JSON.stringify(done)}`)
}

/** The JSON in `<<'NAME'`: what stands there reaches Ruby as it is. */
function heredoc(script) {
  const found = /<<~?'(\w+)'.*\n([\s\S]*?)\n\s*\1\s*$/m.exec(script)
  if (!found) throw new Broken("the script brings no data: <<'JSON' … JSON")
  return JSON.parse(found[2])
}

/** A runner has I18n's default, English, whatever DEFAULT_LOCALE says: only a request switches to it (controllers/concerns/switch_locale.rb). */
const locale = (script, env) =>
  (/locale: ENV\b[^\n]*DEFAULT_LOCALE/.test(script) && env.DEFAULT_LOCALE) || 'en'

async function firstAccount(pool, { account }, done, locale) {
  const {
    rows: [first],
  } = await pool.query('SELECT id FROM accounts ORDER BY id LIMIT 1')
  done.account = first ? 'was there' : 'created'
  return (
    first?.id ??
    (
      await pool.query('INSERT INTO accounts (name, locale) VALUES ($1, $2) RETURNING id', [
        account,
        locale,
      ])
    ).rows[0].id
  )
}

async function superAdmin(pool, { email, name, password }, done, confirmed) {
  const {
    rows: [there],
  } = await pool.query("UPDATE users SET type = 'SuperAdmin' WHERE email = $1 RETURNING id", [
    email.toLowerCase(),
  ])
  done.user = there ? 'was there' : 'created'
  if (there) return there.id
  demandContent(password)
  const {
    rows: [user],
  } = await pool.query(
    "INSERT INTO users (email, name, encrypted_password, type, confirmed_at, access_token) VALUES ($1, $2, $3, 'SuperAdmin', $4, $5) RETURNING id",
    [
      email.toLowerCase(),
      name,
      hashPassword(password),
      confirmed ? new Date() : null,
      randomBytes(18).toString('base64url'),
    ],
  )
  return user.id
}

/** Upstream's rule for passwords: 6 to 128 characters, one of each kind. */
function demandContent(password) {
  const kinds = {
    'uppercase character': /[A-Z]/,
    'lowercase character': /[a-z]/,
    number: /[0-9]/,
    'special character': /[^A-Za-z0-9\s]/,
  }
  for (const [kind, pattern] of Object.entries(kinds))
    if (!pattern.test(password))
      throw new Broken(`KGC failed: Validation failed: Password must contain at least 1 ${kind}`)
  if (password.length < 6 || password.length > 128)
    throw new Broken('KGC failed: Validation failed: Password must have 6 to 128 characters')
}
