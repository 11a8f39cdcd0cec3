// Judges the values of an environment's files, each by itself and beside the others. Its messages
// never contain a value.
import type { EnvFile, EnvFiles } from './files.ts'
import { defaultValue, type ExampleEntry } from './example.ts'
import type { EnvProblem } from './problem.ts'
import { validateEnvValue } from './value.ts'

/** A value as a file has it. */
export interface EnvValue {
  file: EnvFile
  entry: ExampleEntry
  value: string
}

/** All that is wrong with these values, which are all that an environment's files have. */
export const checkValues = (it: EnvFiles, seen: EnvValue[]): EnvProblem[] => [
  ...checkEachValue(it, seen),
  ...findHalfSetKeys(seen),
  ...findRepeatedSecrets(seen, it.command),
  ...findRepeatedPorts(seen),
]

/** What is wrong with each value by itself, and against the root's and the example's. */
function checkEachValue(it: EnvFiles, seen: EnvValue[]): EnvProblem[] {
  const names = new Set(it.files.flatMap(({ folder }) => folder.split('-')).filter(Boolean))
  const top = new Map(
    seen.filter(({ file }) => !file.folder).map(({ entry, value }) => [entry.key, value]),
  )
  return seen.flatMap(({ file, entry, value }) => {
    const say = (problem: string, remedy: string, more: Partial<EnvProblem> = {}) => [
      { file: file.name, key: entry.key, problem, remedy, ...more },
    ]
    const shared = file.folder && entry.shared ? top.get(entry.key) : undefined
    if (shared !== undefined && shared !== value)
      return say(
        `differs from the shared value in ${it.files[0].name}`,
        `set it there, then run \`${it.command}\``,
      )
    const pin = defaultValue(entry, it.name)
    if (entry.pinned && pin && pin !== value)
      return say(`differs from what ${file.example} pins`, `run \`${it.command}\``, {
        outdated: true,
      })
    // a shared value is judged once, in the root file
    const found =
      shared === undefined ? validateEnvValue(entry, value, names, it.command) : undefined
    return found ? say(found.problem, found.remedy) : []
  })
}

const valueIn = (seen: EnvValue[], file: EnvFile, key: string): string =>
  seen.find(one => one.file === file && one.entry.key === key)?.value ?? ''

const findHalfSetKeys = (seen: EnvValue[]): EnvProblem[] =>
  seen.flatMap(({ file, entry, value }) =>
    (entry.with ?? [])
      .filter(other => (other.value === undefined ? value : value === other.value))
      .map(other => ({ ...other, has: valueIn(seen, file, other.key) }))
      .filter(({ has, wanted }) => (wanted === undefined ? !has : has !== wanted))
      .map(({ key, value: set, wanted }) => {
        if (wanted !== undefined)
          return {
            file: file.name,
            key: entry.key,
            problem: `is ${set ?? 'set'}, but ${key} is not ${wanted}`,
            remedy: `set ${key}=${wanted}, if that is meant`,
            remark: true as const,
          }
        const [empty, or] = set === undefined ? ['not', 'neither'] : ['empty', 'choose another']
        return {
          file: file.name,
          key: entry.key,
          problem: `is ${set ?? 'set'}, but ${key} is ${empty}`,
          remedy: `set ${key} too, or ${or}`,
        }
      }),
  )

/** Those that have the value of one before them, with that one. */
const findTwins = (
  values: EnvValue[],
  counts: (one: EnvValue, twin: EnvValue) => boolean = () => true,
): [one: EnvValue, twin: EnvValue][] =>
  values.flatMap((one, i) => {
    const twin = values.slice(0, i).find(other => other.value === one.value && counts(one, other))
    return twin ? [[one, twin]] : []
  })

/** A key that is shared with the root file is judged there. */
const isCopy = ({ file, entry }: EnvValue): boolean => Boolean(file.folder && entry.shared)

/**
 * Secrets that are made here must all differ. Two that others gave out may be one: an account of a
 * store, an old key on its way out.
 */
const findRepeatedSecrets = (seen: EnvValue[], command: string): EnvProblem[] =>
  findTwins(
    seen.filter(one => one.entry.secret && one.value && !isCopy(one)),
    (one, twin) => Boolean(one.entry.generate || twin.entry.generate),
  ).map(([{ file, entry }, twin]) => ({
    file: file.name,
    key: entry.key,
    problem: `is the same as ${twin.entry.key} in ${twin.file.name}`,
    remedy: `use two different values: empty one and run \`${command}\``,
  }))

/** Ports of this machine; SMTP_PORT beside SMTP_HOST is another's. */
function findRepeatedPorts(seen: EnvValue[]): EnvProblem[] {
  const remote = ({ file, entry }: EnvValue) =>
    seen.some(
      other => other.file === file && other.entry.key === entry.key.replace(/PORT$/, 'HOST'),
    )
  const ports = seen.filter(
    one => one.entry.format === 'port' && one.value && !remote(one) && !isCopy(one),
  )
  return findTwins(ports).map(([{ file, entry }, twin]) => ({
    file: file.name,
    key: entry.key,
    problem: `is also the port of ${twin.entry.key} in ${twin.file.name}`,
    remedy: 'choose another for one of them',
  }))
}
