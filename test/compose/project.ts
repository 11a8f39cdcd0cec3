// A case: a small stack of its own folder (docker-compose.yml beside the test), started by the real
// scripts in a copy of the repository.
import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { sandbox, type Options, type Result, type Sandbox } from '../sandbox.ts'

export interface ComposeProject extends Sandbox {
  project: string
  /** Runs a script on the case's stack: `run(['up'])`. */
  run: (argv: string[], options?: Options) => Result
  /** `docker` with these arguments; throws when it fails. */
  engine: (...argv: string[]) => string
  /** The id of a service's container; '' when there is none. */
  container: (service: string) => string
}

/** Removes all that a project has: containers, networks, volumes. */
export function removeAll(project: string): void {
  const list = (...argv: string[]) =>
    execFileSync(
      'docker',
      [...argv, '-q', '--filter', `label=com.docker.compose.project=${project}`],
      { encoding: 'utf8' },
    )
      .split('\n')
      .filter(Boolean)
  const remove = (argv: string[], names: string[]) =>
    names.length && spawnSync('docker', [...argv, ...names], { stdio: 'ignore' })
  remove(['rm', '-fv'], list('ps', '-a'))
  remove(['network', 'rm'], list('network', 'ls'))
  // by name: a killed run has left some without a label
  const volumes = execFileSync('docker', ['volume', 'ls', '-q'], { encoding: 'utf8' }).split('\n')
  remove(
    ['volume', 'rm', '-f'],
    volumes.filter(name => name.startsWith(`${project}_`)),
  )
}

/**
 * The case of a folder that holds a docker-compose.yml: that file replaces the stack's own in the
 * copy, under a project of its own.
 * What an earlier run left is removed first, what this one makes when the process ends.
 */
export function smallProject(folder: string, name: string): ComposeProject {
  const box = sandbox()
  for (const entry of readdirSync(box.docker)) rmSync(join(box.docker, entry), { recursive: true })
  cpSync(join(folder, 'docker-compose.yml'), join(box.docker, 'docker-compose.yml'))
  writeFileSync(join(box.docker, 'docker-compose.dev.yml'), 'services: {}\n')
  writeFileSync(join(box.root, '.env.example'), '# nothing\n')
  return asCase(box, name)
}

/**
 * Makes the engine look at each service every second: it looks first when an interval has passed, and
 * a test that starts a stack over and over would wait for little else.
 */
function hurryChecks(docker: string): void {
  for (const folder of readdirSync(docker, { recursive: true, encoding: 'utf8' }))
    if (/docker-compose\.yml$|common\.yml$/.test(folder)) {
      const path = join(docker, folder)
      writeFileSync(path, readFileSync(path, 'utf8').replaceAll(/^( +interval:) 5s$/gm, '$1 1s'))
    }
}

/**
 * A copy of the whole stack with the demo's env files, under a project and on ports of its own
 * (`port` and the one above it).
 */
export function fullProject(
  name: string,
  port: number,
  { hurried = false }: { hurried?: boolean } = {},
): ComposeProject {
  const box = asCase(sandbox(), name)
  if (hurried) hurryChecks(box.docker)
  if (box.run(['env', 'demo']).code !== 0) throw new Error('the env files could not be made')
  const file = join(box.docker, '.env.demo')
  const text = readFileSync(file, 'utf8')
  writeFileSync(
    file,
    text
      .replace(/^HTTP_PORT=.*/m, `HTTP_PORT=${port}`)
      .replace(/^HTTPS_PORT=.*/m, `HTTPS_PORT=${port + 1}`)
      .replace(/^URL_PORT=.*/m, `URL_PORT=:${port + 1}`),
  )
  if (box.run(['env', 'demo']).code !== 0) throw new Error('the ports could not be set')
  return box
}

/** Another copy of the repository for the same project: what a second clone is. */
export const neighbour = ({ project, run: _, ...rest }: ComposeProject): ComposeProject => {
  const box = sandbox()
  return {
    ...rest,
    ...box,
    project,
    run: (argv, options = {}) =>
      box.script(argv, { ...options, env: { KGC_PROJECT: project, ...options.env } }),
  }
}

function asCase(box: Sandbox, name: string): ComposeProject {
  const project = `kgc-test-${name}`
  removeAll(project)
  process.once('exit', () => removeAll(project))
  const docker = (...argv: string[]) =>
    execFileSync('docker', argv, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim()
  return {
    ...box,
    project,
    engine: docker,
    run: (argv, options = {}) =>
      box.script(argv, { ...options, env: { KGC_PROJECT: project, ...options.env } }),
    container: service =>
      docker(
        'ps',
        '-aq',
        '--filter',
        `label=com.docker.compose.project=${project}`,
        '--filter',
        `label=com.docker.compose.service=${service}`,
      ),
  }
}
