// Where kustomize reads settings differently from what people expect of env files: it reads `envs`
// raw, and takes a key without a value from the shell that runs it.
import { existsSync, readFileSync, statSync } from 'node:fs'
import { join, relative } from 'node:path'
import { parse } from 'yaml'
import { root } from '../../repository.ts'

interface Generator {
  name: string
  env?: string
  envs?: string[]
  literals?: string[]
}
interface Kustomization {
  resources?: string[]
  components?: string[]
  bases?: string[]
  configMapGenerator?: Generator[]
  secretGenerator?: Generator[]
}

/** Something in a settings file; `fatal` when what is sent is not what is written. */
export interface SettingProblem {
  text: string
  fatal: boolean
}

/** The kustomizations that one is made of, itself among them: folder and content. */
function listKustomizations(folder: string): Map<string, Kustomization> {
  const found = new Map<string, Kustomization>()
  const waiting = [folder]
  for (const one of waiting) {
    const file = join(one, 'kustomization.yaml')
    if (found.has(one) || !existsSync(file)) continue
    const content = (parse(readFileSync(file, 'utf8'), { schema: 'failsafe' }) ??
      {}) as Kustomization
    found.set(one, content)
    const { resources = [], components = [], bases = [] } = content
    for (const other of [...resources, ...components, ...bases].map(path => join(one, path)))
      if (existsSync(other) && statSync(other).isDirectory()) waiting.push(other)
  }
  return found
}

/** What of one line of `envs`, or of one literal, is not what it looks like. */
function judgeSetting(line: string, literal: boolean): { why: string; fatal: boolean } | undefined {
  const at = line.indexOf('=')
  if (at < 0)
    return literal
      ? undefined
      : { why: 'has no =: kustomize takes its value from the shell', fatal: true }
  const value = line.slice(at + 1)
  if (/^export\s/.test(line))
    return { why: 'begins with "export": that is part of its name', fatal: true }
  if (/^(["']).*\1$/.test(value))
    return literal
      ? { why: 'has quotes around its value, which kustomize takes off', fatal: false }
      : { why: 'has quotes around its value, which become part of it', fatal: false }
  if (!literal && /\s#/.test(value))
    return { why: 'has a comment behind its value, which becomes part of it', fatal: false }
  return /^\s|\s$/.test(value)
    ? { why: 'has blanks around its value, which become part of it', fatal: false }
    : undefined
}

const nameOf = (line: string): string => /^\s*(?:export\s+)?([\w.-]+)/.exec(line)?.[1] ?? ''

/** The problems of an overlay's settings (`folder` is relative to `base`), with file and line, never with a value. */
export function findSettingProblems(folder: string, base = root): SettingProblem[] {
  return [...listKustomizations(join(base, folder))].flatMap(([place, content]) =>
    [...(content.configMapGenerator ?? []), ...(content.secretGenerator ?? [])].flatMap(one => [
      ...[one.env ?? [], one.envs ?? []].flat().flatMap(file => readEnvs(join(place, file), base)),
      ...(one.literals ?? []).flatMap(literal => {
        const found = judgeSetting(literal, true)
        const where = relative(base, join(place, 'kustomization.yaml'))
        return found
          ? [
              {
                text: `${where}: ${nameOf(literal)} of ${one.name} ${found.why}`,
                fatal: found.fatal,
              },
            ]
          : []
      }),
    ]),
  )
}

/** kustomize itself says when the file is not there. */
function readEnvs(file: string, base: string): SettingProblem[] {
  if (!existsSync(file)) return []
  const lines = readFileSync(file, 'utf8')
    .replace(/^\uFEFF/, '')
    .split(/\r?\n/)
  return lines.flatMap((raw, index) => {
    const line = raw.trimStart()
    const found = line && !line.startsWith('#') ? judgeSetting(line, false) : undefined
    const where = `${relative(base, file)}: line ${index + 1}: ${nameOf(line)}`
    return found ? [{ text: `${where} ${found.why}`, fatal: found.fatal }] : []
  })
}
