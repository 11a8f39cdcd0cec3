// Logins of databases in the env files: each stands beside its password.
import type { ExampleEntry } from './example.ts'

/** The key of the login that has a database's password. */
export const loginKeyOf = (passwordKey: string): string =>
  passwordKey.replace(/_PASSWORD$/, '_LOGIN')

/** What stands in a Secret: what is secret, and logins, which change in one piece with their passwords. */
export function listSealedEntries(entries: ExampleEntry[]): ExampleEntry[] {
  const logins = entries.filter(({ rotate }) => rotate === 'login').map(one => loginKeyOf(one.key))
  return entries.filter(({ secret, key }) => secret || logins.includes(key))
}
