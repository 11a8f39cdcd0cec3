// Records what the engine shows of a project's containers while a command changes it: the fixtures
// of test/unit/stack-status.test.ts.
// Usage: node --import=tsx test/compose/recreate/record.ts <project> <file> <command …> (the
// command, e.g. docker compose … up -d) Each line: `at` (ms), the command's exit `code` once it has
// ended, `set` (the containers that have changed) and `gone` (ids). The first is of before.
import { execFileSync, spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Container } from '../../../scripts/lib/compose/containers.ts'

const [project, file, ...command] = process.argv.slice(2) as [string, string, ...string[]]

const get = <T>(path: string): Promise<T | undefined> =>
  new Promise((done, fail) =>
    request({ socketPath: '/var/run/docker.sock', path }, answer => {
      let text = ''
      answer
        .on('data', data => (text += data))
        .on('end', () => done(answer.statusCode === 200 ? JSON.parse(text) : undefined))
    })
      .on('error', fail)
      .end(),
  )

/** What the judge reads of a container, flat. */
function flat({
  Id,
  Created,
  RestartCount,
  Image,
  Config: { Labels, Healthcheck },
  State,
}: Container) {
  const label = (name: string) => Labels[`com.docker.compose.${name}`]
  const probe = State.Health?.Status === 'unhealthy' ? State.Health.Log?.at(-1) : undefined
  return {
    id: Id.slice(0, 12),
    created: Created,
    service: label('service'),
    needs: label('depends_on') || undefined,
    hash: label('config-hash')?.slice(0, 12),
    image: Image.slice(7, 19),
    interval: Healthcheck?.Interval,
    retries: Healthcheck?.Retries,
    status: State.Status,
    exit: State.ExitCode || undefined,
    restarts: RestartCount || undefined,
    error: State.Error || undefined,
    started: State.StartedAt,
    finished: State.FinishedAt,
    health: State.Health?.Status,
    probe: probe && { exit: probe.ExitCode, output: probe.Output.trim().slice(-80) },
  }
}

async function look(): Promise<Map<string, string>> {
  const filters = encodeURIComponent(
    JSON.stringify({
      label: [`com.docker.compose.project=${project}`, 'com.docker.compose.oneoff=False'],
    }),
  )
  const list = (await get<{ Id: string }[]>(`/containers/json?all=1&filters=${filters}`))!
  const all = await Promise.all(list.map(({ Id }) => get<Container>(`/containers/${Id}/json`)))
  return new Map(
    all
      .filter(container => container !== undefined)
      .map(container => [container.Id.slice(0, 12), JSON.stringify(flat(container))]),
  )
}

let last = new Map<string, string>()
const lines: string[] = []
function note(now: Map<string, string>, head: object) {
  const set = [...now]
    .filter(([id, text]) => last.get(id) !== text)
    .map(([, text]) => JSON.parse(text))
  const gone = [...last.keys()].filter(id => !now.has(id))
  const news =
    set.length ||
    gone.length ||
    !lines.length ||
    ('code' in head && !lines.at(-1)!.includes('"code"'))
  if (news) lines.push(JSON.stringify({ ...head, set, ...(gone.length ? { gone } : {}) }))
  last = now
}

execFileSync('docker', ['version'], { stdio: 'ignore' })
note(await look(), { at: Date.now() })
const child = spawn(command[0]!, command.slice(1), { stdio: ['ignore', 'inherit', 'inherit'] })
let code: number | undefined
let over = Infinity
child.on('close', end => {
  code = end ?? -1
  over = Date.now()
})
// what is still starting then is waited for
while (Date.now() < over + 15_000) {
  note(await look(), { at: Date.now(), ...(code === undefined ? {} : { code }) })
  await sleep(100)
}
writeFileSync(file, lines.join('\n') + '\n')
