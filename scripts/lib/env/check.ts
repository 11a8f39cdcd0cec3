// Reads an environment's files and names all their problems, never a value.
import { existsSync, lstatSync } from 'node:fs'
import { parse } from 'dotenv'
import { findEnvFiles, listExtraFiles, readEnvText, type EnvFile, type EnvFiles } from './files.ts'
import { findAlteredLines, findBadLines } from './lines.ts'
import type { EnvProblem } from './problem.ts'
import { checkValues, type EnvValue } from './check-values.ts'
import { exit, Failure } from '../errors.ts'

type Report = (key: string, problem: string, remedy: string, more?: Partial<EnvProblem>) => void

/**
 * All problems of an environment's files; reads only. Throws Failure (usage) for a wrong name or
 * example.
 */
export function checkEnvFiles(root: string, name = ''): EnvProblem[] {
  const it = findEnvFiles(root, name)
  const problems: EnvProblem[] = []
  const seen: EnvValue[] = []
  for (const file of it.files) {
    const report: Report = (key, problem, remedy, more) =>
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
  return [...problems, ...checkExtraFiles(root, it), ...checkValues(it, seen)]
}

/** The text of a file, undefined when there is none to be had; its mode is judged beside it. */
function readAndReport(
  { path, name }: Pick<EnvFile, 'path' | 'name'>,
  report: Report,
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
    const report: Report = (key, problem, remedy, more) =>
      void problems.push({ file: file.name, key, problem, remedy, ...more })
    const text = readAndReport(file, report)
    for (const { key, why, remedy, altered } of findAlteredLines(text ?? ''))
      report(key, why, remedy, altered ? { altered } : {})
  }
  return problems
}

/**
 * Throws Failure (usage) where a pin that has moved is not what would run, or Compose reads
 * something else than is written; whole files that are missing are said later.
 */
export function refuseUnfitEnvFiles(root: string, environment: string): void {
  const found = checkEnvFiles(root, environment)
  const describe = (some: EnvProblem[]) =>
    some.map(({ file, key, problem }) => `${file}: ${key} ${problem}`).join('\n')
  const what = 'Read the env files'
  const command = `npx zx scripts/env.ts${environment && ` ${environment}`}`
  const old = found.filter(({ outdated }) => outdated)
  if (old.length)
    throw new Failure(exit.usage, what, 'they are older than their examples', {
      evidence: describe(old),
      next: environment ? command : 'make env',
    })
  const altered = found.filter(one => one.altered)
  if (altered.length)
    throw new Failure(exit.usage, what, 'Compose would read other values than are written', {
      evidence: describe(altered),
      next: `${command} --check   (says how to write them)`,
    })
}
