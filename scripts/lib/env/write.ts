// Writes the env files: plans all of them first, then replaces each as a whole.
import {
  accessSync,
  closeSync,
  constants,
  fsyncSync,
  lstatSync,
  openSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { dirname } from 'node:path'
import { parse } from 'dotenv'
import { readEnvText, type EnvFile, type EnvFiles } from './files.ts'
import { Failure, exit } from '../errors.ts'
import { defaultValue, generateValue, type ExampleEntry } from './example.ts'
import { findBadLines } from './lines.ts'
import { mergeEnvFile } from './merge.ts'

/** What is to become of an env file. */
export interface EnvFileChange {
  file: EnvFile
  /** undefined: not there yet. */
  before: string | undefined
  after: string
  added: string[]
  /** Keys whose value now follows the root file or the example. */
  followed: string[]
  /** Keys that the example no longer has. */
  unknown: string[]
}

/**
 * What writing the environment would do; reads only. Throws Failure (usage) when a file that is
 * there cannot be read for certain.
 */
export function planEnvFiles(environment: EnvFiles): EnvFileChange[] {
  const texts = environment.files.map(({ path }) => readEnvText(path))
  const bad = texts.flatMap((text, i) =>
    findBadLines(text ?? '', environment.files[i]?.entries ?? []).map(
      ({ key, why, remedy }) =>
        `${environment.files[i]?.name}: ${[key, why].filter(Boolean).join(' ')}; ${remedy}`,
    ),
  )
  if (bad.length)
    throw new Failure(
      exit.usage,
      'Read the env files',
      `${bad.length} ${bad.length > 1 ? 'lines are' : 'line is'} unreadable; nothing was written`,
      {
        evidence: bad.join('\n'),
        next: `correct them, then ${environment.command}`,
      },
    )
  const olds = texts.map(text => parse(text ?? ''))
  const top = new Map<string, string>()
  return environment.files.map((file, i) => {
    const old = olds[i] ?? {}
    const wanted = new Map(file.entries.map(entry => [entry.key, resolve(entry, old)]))
    if (!file.folder) for (const [key, value] of wanted) top.set(key, value)
    return { file, before: texts[i], ...mergeEnvFile(environment, file, texts[i], old, wanted) }

    function resolve(entry: ExampleEntry, old: Record<string, string>): string {
      const { key, pinned, shared } = entry
      const value = defaultValue(entry, environment.name)
      if (pinned && value) return value
      if (shared && file.folder) return top.get(key) ?? ''
      if (old[key] || (key in old && !entry.generate)) return old[key] ?? ''
      // a line that is not there is a key of a newer example; one that was emptied had a value
      if (entry.keep && key in old)
        throw new Failure(
          exit.usage,
          `Write ${file.name}`,
          `${key} is empty, and stored data cannot be read without its old value`,
          {
            next: `put it back from the backup; for a stack without data delete the line ${key}=`,
          },
        )
      // a key that the root file does not have yet, and the folders do: theirs is the value
      const theirs = shared ? [...new Set(olds.slice(1).flatMap(other => other[key] || []))] : []
      if (theirs.length > 1)
        throw new Failure(
          exit.usage,
          `Write ${file.name}`,
          `the folders' files hold different values of ${key}, which they share`,
          {
            next: `set ${key} in ${file.name}`,
          },
        )
      return theirs[0] ?? (value || (entry.generate ? generateValue(entry.generate) : ''))
    }
  })
}

/** Whether a change changes anything: the text, or a mode that lets others read it. */
export const isEnvFileChanged = ({ file, before, after }: EnvFileChange): boolean =>
  before !== after || (lstatSync(file.path).mode & 0o777) !== 0o600

/**
 * Writes the changed files, each whole or not at all, mode 0600. Throws Failure (refused) before
 * the first when a folder cannot be written.
 */
export function writeEnvFiles(list: EnvFileChange[]): void {
  for (const { file } of list.filter(isEnvFileChanged)) {
    try {
      accessSync(dirname(file.path), constants.W_OK)
    } catch {
      throw new Failure(exit.refused, `Write ${file.name}`, 'its folder cannot be written', {
        next: `ls -ld ${dirname(file.name)}`,
      })
    }
  }
  for (const change of list.filter(isEnvFileChanged)) replaceFile(change)
}

function replaceFile({ file, before, after }: EnvFileChange): void {
  const temporary = `${file.path}.${process.pid}.tmp`
  try {
    const handle = openSync(temporary, 'wx', 0o600)
    try {
      writeFileSync(handle, after)
      fsyncSync(handle)
    } finally {
      closeSync(handle)
    }
    if (readEnvText(file.path) !== before)
      throw new Failure(
        exit.locked,
        `Write ${file.name}`,
        'another process changed it at this moment',
        {
          next: 'the same command again',
        },
      )
    renameSync(temporary, file.path)
  } catch (error) {
    rmSync(temporary, { force: true })
    if (error instanceof Failure) throw error
    throw new Failure(
      exit.rolledBack,
      `Write ${file.name}`,
      `${(error as NodeJS.ErrnoException).code}; it is unchanged`,
      { next: 'the same command again, when there is free space' },
    )
  }
}
