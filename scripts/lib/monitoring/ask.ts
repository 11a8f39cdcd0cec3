// Asks the programs of the monitoring. They publish no port: what is asked is asked in Prometheus'
// container, which reaches all of them.
import { execInContainer, readContainers } from '../compose/containers.ts'
import type { Stack } from '../compose/stack.ts'
import { exit, Failure } from '../errors.ts'
import { lastLineOf } from '../text.ts'

/** Where each listens, seen from Prometheus. */
const addresses = {
  prometheus: 'http://127.0.0.1:9090',
  alertmanager: 'http://alertmanager:9093',
  loki: 'http://loki:3100',
} as const
type Program = keyof typeof addresses

/** The monitoring of a stack that runs. */
export interface Monitoring {
  /** What a program answers to GET, or to a POST of `body`; throws with what it refused. */
  ask: (program: Program, path: string, body?: object) => Promise<string>
  /** The same, of an answer in JSON. */
  askJson: <T>(program: Program, path: string, body?: object) => Promise<T>
  /** Runs a shell script in Prometheus' container, with arguments from `$1` on. */
  shell: (script: string, argv: string[]) => Promise<string>
}

/** ms for an answer. */
const timeoutMs = 20_000

/** Throws Failure (refused) where no monitoring runs. */
export async function openMonitoring(stack: Stack): Promise<Monitoring> {
  const prometheus = (await readContainers(stack.project)).get('prometheus')
  if (prometheus?.State.Status !== 'running')
    throw new Failure(exit.refused, `Ask the monitoring of ${stack.project}`, 'it does not run', {
      next: `make up MODE=${stack.mode} MONITORING=1`,
    })
  const execute = async (argv: string[]) => {
    const { code, stdout, stderr } = await execInContainer(prometheus.Id, argv, timeoutMs)
    if (code !== 0) throw new Error(lastLineOf(stderr) || `${argv[0]} ended with ${code}`)
    return stdout
  }
  const ask: Monitoring['ask'] = (program, path, body) =>
    execute([
      ...['wget', '-q', '-O', '-', '-T', '10'],
      ...(body ? ['--header', 'Content-Type: application/json'] : []),
      ...(body ? ['--post-data', JSON.stringify(body)] : []),
      `${addresses[program]}${path}`,
    ]).catch((error: Error) => {
      throw new Error(`${program} does not answer as it should: ${error.message}`)
    })
  return {
    ask,
    askJson: async (program, path, body) => JSON.parse(await ask(program, path, body)),
    shell: (script, argv) => execute(['sh', '-c', script, 'sh', ...argv]),
  }
}
