// Judges one value of an env file. Its messages never contain the value.
import { valueAlphabet, type ExampleEntry } from './example.ts'
import { isEasilyGuessed, isPlaceholder, isPubliclyKnown } from './guessable.ts'
import { formatRules } from './value-formats.ts'

interface ValueProblem {
  problem: string
  remedy: string
}

/** How a value that cannot be used is replaced. */
function describeRenewal({ keep, generate }: ExampleEntry, command: string): string {
  if (keep)
    return 'it cannot simply be replaced: the README of the folder says how it is changed with its data'
  return generate
    ? `empty it and run \`${command}\`; where it is in use already, change it there too`
    : 'set the real value'
}

/** How an empty value is filled. */
function describeFilling({ keep, generate }: ExampleEntry, command: string): string {
  if (keep) return 'put it back from the backup'
  return generate ? `run \`${command}\`` : 'set it'
}

/**
 * The first thing wrong with a value, or undefined. `names` are words that are public here, such as
 * the folders' names; `command` makes a new value.
 */
export function validateEnvValue(
  entry: ExampleEntry,
  value: string,
  names: Set<string>,
  command: string,
): ValueProblem | undefined {
  const { secret, generate, format, min, max, oneof } = entry
  const renew = describeRenewal(entry, command)
  if (!value)
    return entry.required
      ? { problem: 'is required and empty', remedy: describeFilling(entry, command) }
      : undefined
  if (format !== 'any' && !valueAlphabet.test(value))
    return {
      problem: 'has a character that Compose, dotenv and kubectl do not read alike',
      remedy: 'only letters, digits and _ + / = . : @ , -',
    }
  if (isPlaceholder(value, Boolean(secret))) return { problem: 'is a placeholder', remedy: renew }
  if (secret && isPubliclyKnown(value, names))
    return { problem: 'is a publicly known default', remedy: renew }
  const number = format === 'int' || format === 'port'
  const size = number ? Number(value) : value.length
  if (!number && min !== undefined && size < min)
    return { problem: `is too short: it needs at least ${min} characters`, remedy: renew }
  if (format && !formatRules[format].test(value))
    return { problem: `has the wrong format: ${formatRules[format].wants}`, remedy: renew }
  const unit = number ? '' : ' characters'
  if (min !== undefined && size < min)
    return {
      problem: `is too small: it must be at least ${min}`,
      remedy: `from ${min}${max === undefined ? '' : ` to ${max}`}`,
    }
  if (max !== undefined && size > max)
    return {
      problem: `is too ${number ? 'large' : 'long'}: it may have at most ${max}${unit}`,
      remedy: `at most ${max}${unit}`,
    }
  if (oneof && !oneof.includes(value))
    return {
      problem: 'is not an allowed value',
      remedy: `one of: ${oneof.join(', ')}`,
    }
  // a password of a mail server is not ours to choose and stands in no address
  if (generate && /_PASSWORD$/.test(entry.key) && !/^[\w-]+$/.test(value))
    return {
      problem: 'is not allowed in the address that contains it',
      remedy: `only letters, digits, _ and -; ${renew}`,
    }
  return secret && isEasilyGuessed(value)
    ? { problem: 'is easily guessed: few different characters, or a pattern', remedy: renew }
    : undefined
}
