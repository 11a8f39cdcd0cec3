// What it takes to give a secret another value, known before anything is touched.
import { parse } from 'dotenv'
import type { EnvFileChange } from '../../env/write.ts'
import { generateValue, type ExampleEntry } from '../../env/example.ts'
import { loginKeyOf } from '../../env/logins.ts'
import { findEnvFiles, readEnvText, type EnvFile } from '../../env/files.ts'
import { exit, Failure } from '../../errors.ts'
import { keepSecret } from '../../redact.ts'

/** A secret that is to be rotated. */
export interface Rotation {
  key: string
  kind: NonNullable<ExampleEntry['rotate']>
  old: string
  new: string
  /** What .env.example says of it. */
  note: string
  /** The roles of a `login`: who logs in now, and who will. */
  logins?: { old: string; new: string }
  /** What becomes of the env file, and its way back. */
  change: EnvFileChange
  back: EnvFileChange
}

/** Why a secret is not rotated, and what to do about it. */
function explainUnrotated(
  { key, keep, generate, shared }: ExampleEntry,
  file: EnvFile,
  apply: string,
) {
  const readme = `${file.example.replace(/\.env\.example$/, '')}README.md`
  if (keep && file.entries.some(other => other.key === key.replace('_', '_FALLBACK_')))
    return [
      'stored data is encrypted with it',
      `${readme} says how it is re-encrypted with another one`,
    ]
  if (keep)
    return ['stored data cannot be read or verified without it', `leave it as it is: ${readme}`]
  return generate && !shared
    ? [
        'somebody else holds it, too, or it is taken at a first start alone',
        `change it there, write it here, then ${apply}`,
      ]
    : ['it comes from outside', `write the new one into ${file.name}, then ${apply}`]
}

/**
 * Plans a rotation in the env files of an environment; reads only. Throws Failure (usage, refused)
 * for a key that is not known, has no value or cannot be rotated, with the reason. `apply`: what brings
 * a value from the env files to who reads it.
 */
export function planRotation(
  root: string,
  environment: string,
  key: string,
  apply = 'make up',
): Rotation {
  const what = `Rotate ${key}`
  const { files, command } = findEnvFiles(root, environment)
  const found = files.flatMap(file =>
    file.entries.filter(entry => entry.key === key).map(entry => ({ file, entry })),
  )
  const rotatable = files.flatMap(({ entries }) => entries.filter(({ rotate }) => rotate))
  const next = `one of: ${rotatable.map(one => one.key).join(', ')}`
  const [first] = found
  if (!first) throw new Failure(exit.usage, what, 'no .env.example has this key', { next })
  const { file, entry } = first
  if (!entry.secret) throw new Failure(exit.usage, what, 'it is no secret', { next })
  if (!entry.rotate || !entry.generate) {
    const [why = '', instead = ''] = explainUnrotated(entry, file, apply)
    throw new Failure(exit.refused, what, why, { next: instead })
  }
  const before = readEnvText(file.path)
  const values = parse(before ?? '')
  const old = values[key]
  if (before === undefined || !old)
    throw new Failure(exit.usage, what, `${file.name} has no value of it`, { next: command })
  const note = entry.comment.map(line => line.replace(/^# ?/, '')).join(' ')
  const rotation = { key, kind: entry.rotate, old, new: generateValue(entry.generate), note }
  for (const secret of [old, rotation.new]) keepSecret(secret)
  const loginKey = loginKeyOf(key)
  const login = file.entries.find(other => other.key === loginKey)
  const logins = entry.rotate === 'login' ? chooseLogins(what, login, values[loginKey]) : undefined
  let after = setLine(before, key, rotation.new)
  if (logins) after = setLine(after, loginKey, logins.new)
  const change = { file, added: [], followed: [], unknown: [] }
  return {
    ...rotation,
    ...(logins ? { logins } : {}),
    change: { ...change, before, after },
    back: { ...change, before: after, after: before },
  }
}

function chooseLogins(what: string, entry: ExampleEntry | undefined, value: string | undefined) {
  const old = value || entry?.value || ''
  const other = entry?.oneof?.find(name => name !== old)
  if (!other) throw new Failure(exit.bug, what, 'no .env.example says which two logins there are')
  return { old, new: other }
}

/** A file's text with another value of a key, in its place or at the end. */
function setLine(text: string, key: string, value: string): string {
  const line = new RegExp(`^${key}=.*$`, 'm')
  return line.test(text)
    ? text.replace(line, () => `${key}=${value}`)
    : `${text.replace(/\n?$/, '\n')}${key}=${value}\n`
}
