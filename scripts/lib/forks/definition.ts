// The forks: what each application's folder says of its source (infra/docker/<folder>/fork.yaml).
import { existsSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { parse } from 'yaml'
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

/** All forks, by the applications' folders. */
export function listForks(folder = root): Fork[] {
  return listApplications().flatMap(application => {
    const file = join('infra/docker', application, 'fork.yaml')
    if (!existsSync(join(folder, file))) return []
    const said = parse(readFileSync(join(folder, file), 'utf8')) as Omit<Fork, 'name' | 'file'>
    return [{ ...said, ...listsOf(said), name: basename(said.path), file }]
  })
}

const listsOf = ({ mentions, seen }: Partial<Fork>) => ({
  mentions: mentions ?? [],
  seen: seen ?? {},
})

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
