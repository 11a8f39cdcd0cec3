// The images that are built of a commit of their own source, and where that commit is pinned.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'
import { parseExample } from '../env/example.ts'
import { listApplications, dockerFolder } from '../repository.ts'

/** An image whose tag is a commit. */
export interface CommitImage {
  /** Without where it is: an environment says that. */
  name: string
  /** The key of an env example that holds the commit. */
  key: string
  /** That example. */
  file: string
  /** The commit that stands there; '' when none does. */
  commit: string
  /** The variable that may name a checkout of its source. */
  source?: string
}

/**
 * The images that are built of a commit: the build file (its text) has a key as their tag, and an
 * example (by its file) pins that key.
 */
export function parseCommitImages(buildFile: string, examples: Map<string, string>): CommitImage[] {
  const { services } = parse(buildFile) as {
    services: Record<string, { image: string; build?: { context?: string } }>
  }
  const pins = [...examples].flatMap(([file, text]) =>
    parseExample(text, file)
      .filter(({ pinned }) => pinned)
      .map(({ key, value }) => ({ key, file, commit: value })),
  )
  return Object.values(services).flatMap(({ image, build }) => {
    const [, name, key] = /([\w-]+):\$\{(\w+)[^}]*\}$/.exec(image) ?? []
    const pin = pins.find(pin => pin.key === key)
    const source = /^\$\{(\w+)/.exec(build?.context ?? '')?.[1]
    return name && pin ? [{ name, ...pin, ...(source ? { source } : {}) }] : []
  })
}

/** The same, of this repository. */
export function listCommitImages(): CommitImage[] {
  const files = listApplications()
    .map(folder => `${folder}/.env.example`)
    .filter(file => existsSync(join(dockerFolder, file)))
  const read = (file: string) => readFileSync(join(dockerFolder, file), 'utf8')
  return parseCommitImages(
    read('docker-compose.build.yml'),
    new Map(files.map(file => [`infra/docker/${file}`, read(file)])),
  )
}
