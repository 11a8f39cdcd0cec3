// The forks: what each application's folder says of its source (infra/docker/<folder>/fork.yaml).
import { existsSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { parseDocument } from 'yaml'
import { Failure, exit } from '../errors.ts'
import { listApplications, root } from '../repository.ts'

/** A place outside of the image pins that names the version; `{version}` stands for it. */
interface VersionMention {
  file: string
  text: string
}

export interface Fork {
  /** The last part of its path: `shop` of forks/shop. */
  name: string
  /** The file that says all this, in the repository. */
  file: string
  /** Of the submodule. */
  path: string
  upstream: string
  /** SPDX. */
  license: string
  /** The tag of a release, with `{version}`. */
  tag: string
  /** The image that upstream releases, with `{version}`. */
  released: string
  mentions: VersionMention[]
  /** The commit of each tag that was ever bumped to. */
  seen: Record<string, string>
}

/** All forks, by the applications' folders. Throws Failure (usage) for a fork.yaml that is not right. */
export function listForks(folder = root): Fork[] {
  return listApplications().flatMap(application => {
    const file = join('infra/docker', application, 'fork.yaml')
    if (!existsSync(join(folder, file))) return []
    return [parseFork(file, readFileSync(join(folder, file), 'utf8'))]
  })
}

const required = ['path', 'upstream', 'license', 'tag', 'released'] as const

/** What a fork.yaml says. Throws Failure (usage) with all that is wrong in it. */
export function parseFork(file: string, text: string): Fork {
  const document = parseDocument(text)
  const said = Object(document.toJS()) as Partial<Fork>
  const { mentions = [], seen = {} } = said
  const wrong = [
    ...document.errors.map(({ message }) => message.split('\n')[0] ?? ''),
    ...required.flatMap(key => (typeof said[key] === 'string' ? [] : [`${key} is not set`])),
    ...(said.upstream && !URL.canParse(said.upstream) ? ['upstream is no address'] : []),
    ...(['tag', 'released'] as const).flatMap(key =>
      said[key] && !String(said[key]).includes('{version}') ? [`${key} lacks {version}`] : [],
    ),
    ...Object.entries(Object(seen) as Fork['seen']).flatMap(([tag, commit]) =>
      /^[0-9a-f]{40}$/.test(commit) ? [] : [`seen: ${tag} has no whole commit`],
    ),
  ]
  if (wrong.length)
    throw new Failure(exit.usage, `Read ${file}`, wrong.join('; '), {
      next: 'correct it, as docs/forks.md says',
    })
  const fork = said as Fork
  return { ...fork, mentions, seen, name: basename(fork.path), file }
}

/** Those of these names, all without one. Throws Failure (usage) for a name that is none. */
export function selectForks(names: string[], all = listForks()): Fork[] {
  const unknown = names.filter(name => !all.some(fork => fork.name === name))
  if (unknown.length)
    throw new Failure(exit.usage, 'Choose the forks', `there is no fork ${unknown.join(', ')}`, {
      next: `one of: ${all.map(({ name }) => name).join(', ')}`,
    })
  return names.length ? all.filter(({ name }) => names.includes(name)) : all
}

/** The text with the version in its place. */
export const fillVersion = (pattern: string, version: string): string =>
  pattern.replaceAll('{version}', version)

/** The version of a release's tag; undefined of any other, a beta's among them. */
export function versionOfTag({ tag }: Pick<Fork, 'tag'>, name: string): string | undefined {
  const [before = '', after = ''] = tag.split('{version}')
  const version = name.slice(before.length, name.length - after.length)
  const isRelease = /^\d+(\.\d+)+$/.test(version)
  return isRelease && fillVersion(tag, version) === name ? version : undefined
}

/** Sorts versions, older ones first. */
export const compareVersions = (a: string, b: string): number =>
  a.localeCompare(b, 'en', { numeric: true })
