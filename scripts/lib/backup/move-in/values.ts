// The values that must come over with the data, so that sessions and signatures go on: by name, never shown.
import { parse } from 'dotenv'
import type { ExampleEntry } from '../../env/example.ts'
import { findEnvFiles, readEnvText, type EnvFile } from '../../env/files.ts'
import { quoteValue } from '../../env/lines.ts'
import { validateEnvValue } from '../../env/value.ts'
import type { EnvFileChange } from '../../env/write.ts'
import { exit, Failure } from '../../errors.ts'
import { keepSecret } from '../../redact.ts'
import { warn } from '../../report.ts'
import { root } from '../../repository.ts'
import { valueAlphabet } from '../../env/example.ts'
import { findService, type Move } from './find.ts'
import { readVariables, type OldStack } from './old-stack.ts'

/** A value there that has a key here. */
interface OldValue {
  file: EnvFile
  entry: ExampleEntry
  value: string
  /** What it means when there is none. */
  absent: string | undefined
}

/** What becomes of the env files here. */
export interface PlannedValues {
  changes: EnvFileChange[]
  /** `infra/docker/kgc/.env: KGC_JWT_SECRET`, of those that are another here. */
  taken: string[]
}

function listOldValues(moves: Move[], olds: OldStack[], files: EnvFile[]): OldValue[] {
  return moves.flatMap(({ plan, rules }) =>
    Object.entries(rules.values ?? {}).flatMap(([key, { service, variable, absent }]) => {
      const file = files.find(({ folder }) => folder === plan.folder)
      const entry = file?.entries.find(one => one.key === key)
      const found = findService(olds, rules, service)
      if (!file || !entry || !found) return []
      const value = readVariables(found.stack, found.name)[variable] ?? ''
      if (value) keepSecret(value)
      return [{ file, entry, value, absent }]
    }),
  )
}

const named = ({ file, entry }: OldValue) => `${file.name}: ${entry.key}`

/**
 * The env files here with the values from there. `written` are the folders whose database is here
 * already. Throws Failure (refused) for values that no env file can hold, and for those that data here
 * was written with otherwise; names only.
 */
export function planValues(
  moves: Move[],
  olds: OldStack[],
  environment: string,
  written: string[],
): PlannedValues {
  const { files, command } = findEnvFiles(root, environment)
  const all = listOldValues(moves, olds, files)
  const what = 'Take the values over that the data was written with'
  for (const { entry, value, absent } of all)
    if (!value && absent) warn(`${entry.key} is not set there: ${absent}`)
  const here = new Map(files.map(file => [file, readEnvText(file.path) ?? '']))
  const differing = all.filter(
    ({ file, entry, value }) => value && parse(here.get(file)!)[entry.key] !== value,
  )
  const unfit = differing.filter(({ value, entry }) => !fits(value, entry))
  if (unfit.length)
    throw new Failure(exit.refused, what, 'no env file here can hold a value from there', {
      evidence: unfit.map(named).join('\n'),
      next: 'change it there first, to one of letters, digits and _ + / = . : @ , - (what it signs ends then)',
    })
  const kept = differing.filter(({ entry, file }) => entry.keep && written.includes(file.folder))
  if (kept.length)
    throw new Failure(
      exit.refused,
      what,
      'there is data here already that was written with others',
      {
        evidence: kept.map(named).join('\n'),
        next: 'if the data here is not needed: npx zx scripts/down.ts MODE --purge, make env, and the same command again',
      },
    )
  for (const { entry, value } of differing) {
    const weak = validateEnvValue(entry, value, new Set(), command)
    if (weak) warn(`${entry.key} comes over as it is, though it ${weak.problem}`)
  }
  return { changes: changeFiles(differing, here), taken: differing.map(named) }
}

const fits = (value: string, { format }: ExampleEntry): boolean =>
  valueAlphabet.test(value) || (format === 'any' && !/['\p{Cc}]|\\$/u.test(value))

function changeFiles(values: OldValue[], here: Map<EnvFile, string>): EnvFileChange[] {
  const files = [...new Set(values.map(({ file }) => file))]
  return files.map(file => {
    const before = here.get(file)!
    let after = before
    for (const { entry, value } of values.filter(one => one.file === file)) {
      const line = `${entry.key}=${quoteValue(value)}`
      const there = new RegExp(`^${entry.key}=.*$`, 'm')
      after = there.test(after) ? after.replace(there, () => line) : `${after}${line}\n`
    }
    return { file, before, after, added: [], followed: [], unknown: [] }
  })
}
