// A stack that is moved in from: what its Compose files say, and its containers. It is only read.
import { existsSync, realpathSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { readContainers, type Container } from '../../compose/containers.ts'
import type { ComposeConfig } from '../../compose/stack.ts'
import { exit, Failure } from '../../errors.ts'
import { run } from '../../run.ts'
import { lastLineOf } from '../../text.ts'

/** A stack as its folder and the engine have it. */
export interface OldStack {
  folder: string
  config: ComposeConfig
  containers: Map<string, Container>
}

/** What `docker compose` is told of its files. */
export interface ComposeWords {
  files: string[]
  envFiles: string[]
}

/** The names that Compose looks for (docs.docker.com/compose/intro/compose-application-model). */
const composeFiles = ['compose.yaml', 'compose.yml', 'docker-compose.yaml', 'docker-compose.yml']
const projectLabel = 'com.docker.compose.project'

/** With what its containers were started, newest first: Compose labels them with it. */
async function findStarts(folder: string): Promise<(ComposeWords & { project: string })[]> {
  const labels = ['', '.config_files', '.environment_file'].map(
    end => `{{.Label "${projectLabel}${end}"}}`,
  )
  // as it was called then: by a link, or not
  const folders = [...new Set([folder, realpathSync(folder)])]
  const found = folders.map(async one => {
    const argv = ['docker', 'ps', '-a', '--format', labels.join('\t')]
    const filter = ['--filter', `label=${projectLabel}.working_dir=${one}`]
    return (await run([...argv, ...filter], { what: 'Ask the Docker engine' })).stdout
  })
  const lines = [...new Set((await Promise.all(found)).join('').split('\n').filter(Boolean))]
  return lines.map(line => {
    const [project = '', files = '', envFiles = ''] = line.split('\t')
    const split = (text: string) => text.split(',').filter(one => one && existsSync(one))
    return { project, files: split(files), envFiles: split(envFiles) }
  })
}

/** Nothing of this process' environment but what `docker` itself needs: the stack's own files count. */
function bareEnvironment(): Record<string, undefined> {
  const needed = /^(PATH|HOME|USER|LANG|TMPDIR|XDG_RUNTIME_DIR|DOCKER_\w+|\w+_proxy|\w+_PROXY)$/
  return Object.fromEntries(
    Object.keys(process.env)
      .filter(key => !needed.test(key))
      .map(key => [key, undefined]),
  )
}

/**
 * Reads a stack. In: its folder, and its Compose and env files where its containers do not say them.
 * Throws Failure (refused) for a folder without a Compose file, and with Compose's own words.
 */
export async function readOldStack(path: string, given: ComposeWords): Promise<OldStack> {
  const folder = resolve(path)
  const what = `Read the stack in ${folder}`
  const refuse = (why: string, next: string) => new Failure(exit.refused, what, why, { next })
  if (!existsSync(folder)) throw refuse('it is not there', 'its folder, where its Compose file is')
  const starts = await findStarts(folder)
  const projects = [...new Set(starts.map(({ project }) => project))]
  if (projects.length > 1 && !given.files.length)
    throw refuse(
      `it was started as ${projects.join(' and as ')}: which one is it?`,
      'the same command with --file, and --env-file where it has one, as it is started',
    )
  const [start] = starts
  const files = (given.files.length ? given.files : (start?.files ?? [])).map(f => resolve(f))
  const envFiles = given.envFiles.length ? given.envFiles : (start?.envFiles ?? [])
  if (!files.length && !composeFiles.some(name => existsSync(join(folder, name))))
    throw refuse(
      `it has no Compose file (${composeFiles.join(', ')})`,
      'its folder, or --file FILE',
    )
  const argv = [
    ...['docker', 'compose', '--project-directory', folder],
    ...(start && !given.files.length ? ['-p', start.project] : []),
    ...envFiles.flatMap(file => ['--env-file', resolve(file)]),
    ...files.flatMap(file => ['-f', file]),
    ...['config', '--format', 'json'],
  ]
  const output = await run(argv, { cwd: folder, env: bareEnvironment(), nothrow: true })
  if (output.code !== 0)
    throw refuse(
      lastLineOf(output.stderr),
      'the same command with --env-file FILE, and --file FILE for each of its Compose files, as it is started',
    )
  const config = JSON.parse(output.stdout) as ComposeConfig
  return { folder, config, containers: await readContainers(config.name) }
}

/** The variables that a service has: those it runs with, or else those its files say. */
export function readVariables(
  { config, containers }: OldStack,
  service: string,
): Record<string, string> {
  const container = containers.get(service)
  if (container)
    return Object.fromEntries(
      (container.Config.Env ?? []).map(line => {
        const at = line.indexOf('=')
        return [line.slice(0, at), line.slice(at + 1)]
      }),
    )
  const said = Object.entries(config.services[service]?.environment ?? {})
  // `config` writes a dollar twice, so that Compose reads it as one
  return Object.fromEntries(said.map(([key, value]) => [key, (value ?? '').replaceAll('$$', '$')]))
}

/** The containers that have a volume and run, whosever they are. */
export async function listUsers(volume: string): Promise<string[]> {
  const argv = ['docker', 'ps', '--filter', `volume=${volume}`, '--format', '{{.Names}}']
  const { stdout } = await run(argv, { what: 'Ask the Docker engine' })
  return stdout.split('\n').filter(Boolean)
}
