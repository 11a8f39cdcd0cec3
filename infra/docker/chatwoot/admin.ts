// Chatwoot's first administrator. Until he is there, /installation/onboarding lets any visitor
// become it.
import type { CreateAdmin, SmokeContext } from '../../../scripts/lib/smoke/checks.ts'

/**
 * Done as upstream's own onboarding does it, whose pages switch to DEFAULT_LOCALE, which a runner
 * does not; what is there already stays as it is, its password too.
 */
export const createAdmin: CreateAdmin = async (context, { email, password }) => {
  const script = `
    flag = Redis::Alfred::CHATWOOT_INSTALLATION_ONBOARDING
    done = { user: 'was there', account: 'was there', onboarding: Redis::Alfred.get(flag) ? 'closed' : 'was closed' }
    ActiveRecord::Base.transaction do
      account = Account.order(:id).first
      unless account
        account = Account.create!(name: data['account'], locale: ENV['DEFAULT_LOCALE'].presence || I18n.default_locale)
        done[:account] = 'created'
      end
      user = User.find_by(email: data['email'].downcase)
      unless user
        user = SuperAdmin.new(name: data['name'], email: data['email'], password: data['password'])
        user.skip_confirmation!
        user.save!
        done[:user] = 'created'
      end
      user.update!(type: 'SuperAdmin') unless user.type == 'SuperAdmin'
      AccountUser.create_with(role: :administrator).find_or_create_by!(account: account, user: user)
    end
    Redis::Alfred.delete(Redis::Alfred::CHATWOOT_INSTALLATION_ONBOARDING)
    puts "KGC #{done.to_json}"`
  const done = await runRails(context, script, {
    email,
    password,
    name: 'Administrator',
    account: 'KGC',
  })
  return `administrator ${done.user}, account ${done.account}, onboarding ${done.onboarding}`
}

/**
 * Runs Ruby inside Chatwoot. The data goes with the script through standard input and stands in no
 * argument; the script finds it in `data` and ends with `puts "KGC <JSON>"`. Throws with Rails' own
 * words.
 */
export async function runRails(
  { exec }: SmokeContext,
  script: string,
  data: Record<string, string>,
): Promise<Record<string, string>> {
  // ASCII only: the image may set no locale
  const json = JSON.stringify(data).replace(
    /[^\x20-\x7e]/g,
    character => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
  const ruby = `data = JSON.parse(<<'JSON')\n${json}\nJSON\nbegin${script}\nrescue StandardError => error\n  abort "KGC failed: #{error.message}"\nend\n`
  const printed = await exec(
    'chatwoot-web',
    ['bundle', 'exec', 'rails', 'runner', '-'],
    ruby,
  ).catch((error: Error) => {
    throw new Error(/KGC failed: (.*)/.exec(error.message)?.[1] ?? error.message)
  })
  // Rails logs to standard output as well
  const answer = /^KGC (\{.*\})$/m.exec(printed)?.[1]
  if (!answer)
    throw new Error(`rails runner printed no result: ${printed.trim().split('\n').at(-1)}`)
  return JSON.parse(answer) as Record<string, string>
}
