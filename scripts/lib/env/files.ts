// The env files of an environment: where they are and what is in them.
import { existsSync, lstatSync, readFileSync, readdirSync } from 'node:fs'
import { join, relative } from 'node:path'
import { parse } from 'dotenv'
import { Failure, exit } from '../errors.ts'
import { parseExtraFile } from './lines.ts'
import { parseExample, type ExampleEntry } from './example.ts'
import { keepSecret } from '../redact.ts'

/** What a key that no example describes is called when it holds a secret. */
const secretName = /PASS|SECRET|KEY|TOKEN/

/** An env file and the example that describes it. */
export interface EnvFile {
  /** The folder under infra/docker; '' for the root file, infra/docker/.env. */
  folder: string
  path: string
  /** Both as people read them: relative to the repository. */
  name: string
  example: string
  /** Only some stacks need it. */
  optional?: boolean
  entries: ExampleEntry[]
}

export interface EnvFiles {
  /** '' is the machine's own stack. */
  name: string
  /** What its env files end with: '' or '.demo'. */
  suffix: string
  /** The command that writes its files. */
  command: string
  /** The root file first. */
  files: [EnvFile, ...EnvFile[]]
}

/**
 * The env files that an environment consists of, there or not, described by the examples in `root`.
 * dev and prod are two ways to run the machine's own stack and mean its files.
 */
export function findEnvFiles(root: string, given = ''): EnvFiles {
  const name = given === 'dev' || given === 'prod' ? '' : given
  if ((name && !/^[a-z][a-z0-9-]*$/.test(name)) || name === 'example')
    throw new Failure(
      exit.usage,
      'Choose the environment',
      'its name has lower-case letters, digits and -, and is not "example"',
      { next: 'npx zx scripts/env.ts demo' },
    )
  const suffix = name && `.${name}`
  const docker = 'infra/docker'
  const folders = readdirSync(join(root, docker)).filter(folder =>
    existsSync(join(root, docker, folder, '.env.example')),
  )
  const file = (folder: string, example: string): EnvFile => {
    const path = join(docker, folder, `.env${suffix}`)
    const text = readEnvText(join(root, example))
    if (text === undefined)
      throw new Failure(exit.usage, `Read ${example}`, 'it is not there', {
        next: `git checkout ${example}`,
      })
    return {
      folder,
      name: path,
      path: join(root, path),
      example,
      entries: parseExample(text, example),
    }
  }
  const top = file('', '.env.example')
  const comment = "# Which env files the folders' Compose files read."
  if (suffix)
    top.entries.push(...parseExample(`\n${comment}\n#@ required pinned\nKGC_ENV_SUFFIX=${suffix}`))
  const others = folders.sort().map(folder => file(folder, join(docker, folder, '.env.example')))
  const monitoring = 'infra/monitoring/.env.example'
  if (existsSync(join(root, monitoring)))
    others.push({ ...file('../monitoring', monitoring), optional: true })
  for (const { entries, example } of others)
    for (const { key, shared } of entries)
      if (shared && !top.entries.some(entry => entry.key === key))
        throw new Failure(
          exit.usage,
          `Read ${example}`,
          `${key} is shared, but .env.example does not have it`,
        )
  return {
    name,
    suffix,
    command: `npx zx scripts/env.ts${name && ` ${name}`}`,
    files: [top, ...others],
  }
}

/**
 * The files beside an environment's, where there are any, with further variables of an application:
 * infra/docker/<folder>/extra.env, or extra.demo.env.
 */
export const listExtraFiles = (
  root: string,
  { files, suffix }: Pick<EnvFiles, 'files' | 'suffix'>,
): Pick<EnvFile, 'name' | 'path'>[] =>
  files
    .filter(({ folder }) => folder)
    .map(({ folder }) => join('infra/docker', folder, `extra${suffix}.env`))
    .map(name => ({ name, path: join(root, name) }))
    .filter(({ path }) => existsSync(path))

/**
 * A file's text; undefined when it is not there. Throws Failure (usage) for a symbolic link and for
 * what cannot be read.
 */
export function readEnvText(path: string): string | undefined {
  const what = `Read ${relative('', path)}`
  try {
    if (lstatSync(path).isSymbolicLink())
      throw new Failure(
        exit.usage,
        what,
        'it is a symbolic link; replacing it would leave the real file behind',
        { next: 'replace the link with the file' },
      )
    return readFileSync(path, 'utf8')
  } catch (error) {
    if (error instanceof Failure) throw error
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') return undefined
    throw new Failure(exit.usage, what, `it cannot be read (${code})`, {
      next: `ls -l ${relative('', path)}`,
    })
  }
}

/**
 * The values in an env file. Throws Failure (usage) when it is not there (`command` would write it)
 * or cannot be read.
 */
export function readEnvFile(path: string, command = 'make env'): Record<string, string> {
  const text = readEnvText(path)
  if (text === undefined)
    throw new Failure(exit.usage, `Read ${relative('', path)}`, 'it is not there', {
      next: command,
    })
  return parse(text)
}

/**
 * All values of an environment, the root file's winning as in Compose, and every secret among them
 * remembered for redaction.
 * Throws Failure (usage) when a file is missing that every stack needs, unless `partial`: then it
 * counts as empty.
 */
export function loadEnvValues(root: string, name = '', partial = false): Record<string, string> {
  const { files, command, suffix } = findEnvFiles(root, name)
  for (const { path } of listExtraFiles(root, { files, suffix }))
    for (const [key, value] of Object.entries(parseExtraFile(readFileSync(path, 'utf8'))))
      if (secretName.test(key)) keepSecret(value)
  const values = files.toReversed().map(file => {
    const lenient = partial || file.optional
    const own = lenient ? parse(readEnvText(file.path) ?? '') : readEnvFile(file.path, command)
    for (const [key, value] of Object.entries(own)) {
      const entry = file.entries.find(entry => entry.key === key)
      if (entry ? entry.secret : secretName.test(key)) keepSecret(value)
    }
    return own
  })
  return Object.assign({}, ...values) as Record<string, string>
}
