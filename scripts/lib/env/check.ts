// Reads an environment's files and names all their problems, never a value.
import { existsSync, lstatSync } from 'node:fs'
import { parse } from 'dotenv'
import { findEnvFiles, listExtraFiles, readEnvText, type EnvFile, type EnvFiles } from './files.ts'
import { findAlteredLines, findBadLines } from './lines.ts'
import { validateEnvValue } from './value.ts'
import { Failure } from '../errors.ts'
import { defaultValue, type ExampleEntry } from './example.ts'

export interface EnvProblem {
  /** Relative to the repository. */
  file: string
  /** '' when it is the whole file. */
  key: string
  problem: string
  remedy: string
  /**
   * The example has gone on since the file was written: a key is missing, or pinned to another
   * value.
   */
  outdated?: true
  /** Compose would read another value than is written. */
  altered?: true
  /** It may be meant so: it is said, and is no fault. */
  remark?: true
}

interface EnvValue {
  file: EnvFile
  entry: ExampleEntry
  value: string
}

/**
 * All problems of an environment's files; reads only. Throws Failure (usage) for a wrong name or
 * example.
 */
export function checkEnvFiles(root: string, name = ''): EnvProblem[] {
  const it = findEnvFiles(root, name)
  const problems: EnvProblem[] = []
  const seen: EnvValue[] = []
  for (const file of it.files) {
    const report = (key: string, problem: string, remedy: string, more: Partial<EnvProblem> = {}) =>
      void problems.push({ file: file.name, key, problem, remedy, ...more })
    const text = readAndReport(file, report)
    if (text === undefined) {
      if (!existsSync(file.path) && !file.optional)
        report('', 'is missing', `run \`${it.command}\``)
      continue
    }
    const bad = findBadLines(text, file.entries)
    for (const { key, why, remedy, altered } of bad)
      report(key, why, remedy, altered ? { altered } : {})
    if (text.includes('\0')) continue
    const values = parse(text.replace(/^\uFEFF/, ''))
    for (const key of Object.keys(values))
      if (/^[A-Z][A-Z0-9_]*$/.test(key) && !file.entries.some(entry => entry.key === key))
        report(
          key,
          `is unknown to ${file.example}`,
          `delete it; put further variables of an application in its extra${it.suffix}.env`,
        )
    for (const entry of file.entries) {
      const value = values[entry.key]
      if (bad.some(({ key }) => key === entry.key)) continue
      if (value === undefined)
        report(entry.key, 'is missing', `run \`${it.command}\``, { outdated: true })
      else seen.push({ file, entry, value })
    }
  }
  return [
    ...problems,
    ...checkExtraFiles(root, it),
    ...checkValues(it, seen),
    ...findHalfSetKeys(seen),
    ...findRepeatedSecrets(seen, it.command),
    ...findRepeatedPorts(seen),
  ]
}

/** The text of a file, undefined when there is none to be had; its mode is judged beside it. */
function readAndReport(
  { path, name }: Pick<EnvFile, 'path' | 'name'>,
  report: (key: string, problem: string, remedy: string) => void,
): string | undefined {
  try {
    const text = readEnvText(path)
    if (text !== undefined && lstatSync(path).mode & 0o077)
      report('', 'is readable by other users', `chmod 600 ${name}`)
    return text
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    report('', error.why, error.next ?? '')
    return undefined
  }
}

/** The files with further variables of an application, which Compose hands on as it reads them. */
function checkExtraFiles(root: string, it: EnvFiles): EnvProblem[] {
  const problems: EnvProblem[] = []
  for (const file of listExtraFiles(root, it)) {
    const report = (key: string, problem: string, remedy: string, more: Partial<EnvProblem> = {}) =>
      void problems.push({ file: file.name, key, problem, remedy, ...more })
    const text = readAndReport(file, report)
    for (const { key, why, remedy, altered } of findAlteredLines(text ?? ''))
      report(key, why, remedy, altered ? { altered } : {})
  }
  return problems
}

/** What is wrong with each value by itself, and against the root's and the example's. */
function checkValues(it: EnvFiles, seen: EnvValue[]): EnvProblem[] {
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

/**
 * Secrets that are made here must all differ. Two that others gave out may be one: an account of a
 * store, an old key on its way out.
 * A key shared with the root file is one secret.
 */
function findRepeatedSecrets(seen: EnvValue[], command: string): EnvProblem[] {
  const secrets = seen.filter(
    ({ file, entry, value }) => entry.secret && value && !(file.folder && entry.shared),
  )
  return secrets.flatMap(({ file, entry, value }, i) => {
    const twin = secrets
      .slice(0, i)
      .find(other => other.value === value && (other.entry.generate || entry.generate))
    return twin
      ? [
          {
            file: file.name,
            key: entry.key,
            problem: `is the same as ${twin.entry.key} in ${twin.file.name}`,
            remedy: `use two different values: empty one and run \`${command}\``,
          },
        ]
      : []
  })
}

/** Ports of this machine; SMTP_PORT beside SMTP_HOST is another's. */
function findRepeatedPorts(seen: EnvValue[]): EnvProblem[] {
  const remote = ({ file, entry }: EnvValue) =>
    seen.some(
      other => other.file === file && other.entry.key === entry.key.replace(/PORT$/, 'HOST'),
    )
  const ports = seen.filter(
    one =>
      one.entry.format === 'port' &&
      one.value &&
      !remote(one) &&
      !(one.file.folder && one.entry.shared),
  )
  return ports.flatMap(({ file, entry, value }, i) => {
    const twin = ports.slice(0, i).find(other => other.value === value)
    return twin
      ? [
          {
            file: file.name,
            key: entry.key,
            problem: `is also the port of ${twin.entry.key} in ${twin.file.name}`,
            remedy: 'choose another for one of them',
          },
        ]
      : []
  })
}
