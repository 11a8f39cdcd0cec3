// The containers of a project, as the engine shows them.
import { Failure, exit } from '../errors.ts'
import { run, type RunOutput } from '../run.ts'
import { lastLineOf } from '../text.ts'

/** Throws Failure (refused) when the Docker engine does not answer. */
export async function requireEngine(): Promise<void> {
  const { code, stderr } = await run(['docker', 'version', '--format', '{{.Server.Version}}'], {
    nothrow: true,
    timeout: 20_000,
  })
  if (code !== 0) throw noEngine(stderr)
}

const noEngine = (stderr: string) =>
  new Failure(exit.refused, 'Ask the Docker engine', lastLineOf(stderr) || 'no answer', {
    next: 'npx zx scripts/bootstrap.ts',
  })

/** A container as `docker inspect` shows it, as far as it is needed here. */
export interface Container {
  Id: string
  Name: string
  Created: string
  /** The id of its image. */
  Image: string
  RestartCount: number
  /** `Name`: the volume's. */
  Mounts?: { Name?: string }[]
  /** What it publishes at this moment. */
  NetworkSettings?: { Ports?: Record<string, { HostPort: string }[] | null> }
  Config: {
    Labels: Record<string, string>
    /** `NAME=value`; null for none. */
    Env?: string[] | null
    Image: string
    /** Interval in ns. */ Healthcheck?: { Test?: string[]; Interval?: number; Retries?: number }
  }
  State: {
    Status: string
    ExitCode: number
    OOMKilled: boolean
    Error: string
    StartedAt: string
    FinishedAt: string
    Health?: {
      Status: string
      Log: { Start: string; End: string; ExitCode: number; Output: string }[] | null
    }
  }
}

/** The service that a container is of. */
export const serviceNameOf = ({ Config }: Container): string =>
  Config.Labels['com.docker.compose.service'] ?? ''

/**
 * All containers of a project (one-off `run` containers left out); of a service that is being
 * replaced two. Throws Failure (refused) when the engine does not answer.
 */
export async function listContainers(project: string): Promise<Container[]> {
  const filters = [
    '--filter',
    `label=com.docker.compose.project=${project}`,
    '--filter',
    'label=com.docker.compose.oneoff=False',
  ]
  const list = await run(['docker', 'ps', '-aq', '--no-trunc', ...filters], { nothrow: true })
  if (list.code !== 0) throw noEngine(list.stderr)
  const ids = list.stdout.split('\n').filter(Boolean)
  if (!ids.length) return []
  // a container may go between the two calls: what is left is printed all the same
  const output = await run(['docker', 'inspect', ...ids], { nothrow: true })
  return JSON.parse(output.stdout || '[]') as Container[]
}

/** By service; of two of one service the newer. */
export function containersByService(found: Container[]): Map<string, Container> {
  const sorted = [...found].sort((a, b) => Date.parse(a.Created) - Date.parse(b.Created))
  return new Map(sorted.map(container => [serviceNameOf(container), container]))
}

/** The project's containers by service. Throws as `allContainers`. */
export const readContainers = async (project: string): Promise<Map<string, Container>> =>
  containersByService(await listContainers(project))

/**
 * The services that a container was made to depend on, by its label (`db:service_healthy:false,…`):
 * known without the Compose files.
 */
export const dependenciesOf = ({ Config: { Labels } }: Pick<Container, 'Config'>): string[] =>
  (Labels['com.docker.compose.depends_on'] ?? '').split(',').flatMap(one => one.split(':')[0] || [])

/** Runs a command in a container. Out: its output and exit code, whatever that is. `timeout`: ms. */
export const execInContainer = (
  id: string,
  argv: string[],
  timeout = 10_000,
  options: string[] = [],
): Promise<RunOutput> =>
  run(['docker', 'exec', ...options, id, ...argv], { nothrow: true, timeout })

/** What a container has logged, on both streams; `options` are those of `docker logs`. `timeout`: ms. */
export const readContainerLogs = (
  id: string,
  options: string[],
  timeout = 10_000,
): Promise<RunOutput> => run(['docker', 'logs', ...options, id], { nothrow: true, timeout })

/** The networks of a project, or of all, without a way out, which a restore that is held back has. Out: their ids. */
export const listHeldNetworks = async (project?: string): Promise<string[]> => {
  const labels = ['hu.kgc.held', ...(project ? [`com.docker.compose.project=${project}`] : [])]
  const filters = labels.flatMap(label => ['--filter', `label=${label}`])
  const { stdout } = await run(['docker', 'network', 'ls', '-q', ...filters], {
    what: 'Ask the Docker engine',
  })
  return stdout.split('\n').filter(Boolean)
}

/** Whether a restore of the project is held back. */
export const isHeld = async (project: string): Promise<boolean> =>
  (await listHeldNetworks(project)).length > 0

/** The command that lets out what a restore holds back. */
export const goLiveCommand = (mode: string): string => `npx zx scripts/restore.ts --go-live ${mode}`
