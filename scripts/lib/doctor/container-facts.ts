// Asks the containers of a stack what the doctor needs to know. Reads only.
import { readFile } from 'node:fs/promises'
import type { ComposeConfig } from '../compose/stack.ts'
import { execInContainer, readContainerLogs, type Container } from '../compose/containers.ts'
import { readLastLogLine } from '../compose/health-probe.ts'
import { likelyCause } from '../compose/failure-report.ts'
import { judgeRedis, parseRedisState, redisQuestion } from '../redis.ts'

type State = Container['State']

/** Whether it ended badly or is about to be started again. */
const hasCrashed = ({ Status: status, ExitCode: code }: State): boolean =>
  status === 'restarting' || (status === 'exited' && code !== 0)

/** Whether a container is so ill that its log is searched for a well-known cause. */
export const needsCause = (state: State): boolean =>
  state.Health?.Status === 'unhealthy' || hasCrashed(state)

/** What is found of each of these, by service; those of which nothing is are left out. */
async function findWords(
  containers: [service: string, container: Container][],
  find: (container: Container) => Promise<string>,
): Promise<Map<string, string>> {
  const found = containers.map(
    async ([service, container]) => [service, await find(container)] as const,
  )
  return new Map((await Promise.all(found)).filter(([, words]) => words))
}

/** The last log line of each service that does not run. */
export const readLastLogLines = (seen: Map<string, Container>): Promise<Map<string, string>> =>
  findWords(
    [...seen].filter(([, { State }]) => hasCrashed(State)),
    ({ Id }) => readLastLogLine(Id),
  )

/** The likely causes why services are ill. */
export const findLikelyCauses = (seen: Map<string, Container>): Promise<Map<string, string>> =>
  findWords(
    [...seen].filter(([, { State }]) => needsCause(State)),
    findLikelyCause,
  )

/** By what it has logged in the minute after its start, and last. */
async function findLikelyCause({ Id, State: { StartedAt: start } }: Container): Promise<string> {
  const until = new Date(Date.parse(start) + 60_000).toISOString()
  const logs = await Promise.all(
    [
      ['--since', start, '--until', until],
      ['--tail', '100'],
    ].map(some => readContainerLogs(Id, some)),
  )
  return likelyCause(logs.map(({ stdout, stderr }) => stdout + stderr).join('\n')) ?? ''
}

/**
 * Processes killed because memory ran out, read from the running containers' cgroups: the engine tells
 * (OOMKilled) only of the main process. Nothing where cgroups cannot be seen from here (Docker
 * Desktop).
 */
export async function countOomKills(seen: Map<string, Container>): Promise<Map<string, number>> {
  const files = (id: string) => [
    `memory/docker/${id}/memory.oom_control`,
    `system.slice/docker-${id}.scope/memory.events`,
    `docker/${id}/memory.events`,
  ]
  const counts = [...seen].map(async ([service, { Id }]) => {
    const texts = await Promise.all(
      files(Id).map(file => readFile(`/sys/fs/cgroup/${file}`, 'utf8').catch(() => '')),
    )
    return [service, Number(/^oom_kill (\d+)/m.exec(texts.join('\n'))?.[1] ?? 0)] as const
  })
  return new Map(await Promise.all(counts))
}

/** The Redis containers that are full, almost full, or cannot write, in words by service. */
export const findFullRedis = (
  config: ComposeConfig,
  containers: Map<string, Container>,
): Promise<Map<string, string>> =>
  findWords(
    [...containers].filter(
      ([service, { State }]) =>
        State.Status === 'running' && isRedis(config.services[service] ?? {}),
    ),
    describeRedis,
  )

const isRedis = ({ image = '', environment = {} }: ComposeConfig['services'][string]): boolean =>
  /(^|\/)(redis|valkey)[:@]/.test(image) && 'REDIS_PASSWORD' in environment

async function describeRedis({ Id }: Container): Promise<string> {
  const { code, stdout } = await execInContainer(Id, ['sh', '-c', redisQuestion])
  try {
    // one that does not answer is a matter of its health
    return code === 0 ? (judgeRedis(parseRedisState(stdout)) ?? '') : ''
  } catch {
    return ''
  }
}
