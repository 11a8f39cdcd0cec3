// What a start says to the stack's own monitoring: its restarts raise nothing, and a metric says
// when it ended and how.
import { readContainers, type Container } from '../compose/containers.ts'
import type { Stack } from '../compose/stack.ts'
import { root } from '../repository.ts'
import { run } from '../run.ts'
import { openMonitoring } from './ask.ts'
import { endSilence, silenceRestarts, warned, type AlertmanagerPost } from './restarts.ts'
import { writeMetrics } from './textfile.ts'

/** Does the work of a start. Where the monitoring does not run there is nobody to be told before. */
export async function markStart<T>(stack: Stack, work: () => Promise<T>): Promise<T> {
  if (!stack.monitored) return work()
  // each time: the start may replace the container that is asked
  const post: AlertmanagerPost = async (path, body) =>
    (await openMonitoring(stack)).ask('alertmanager', path, body)
  const there = (await readContainers(stack.project)).get('prometheus')
  const silence =
    there?.State.Status === 'running'
      ? await silenceRestarts(post, environmentOf(there), `start of ${stack.project}`)
      : undefined
  const end = async (isWell: boolean) => {
    await endSilence(post, silence, isWell)
    await warned('The start is not marked', () => writeMarker(stack, isWell))
  }
  const result = await work().catch(async (error: Error) => {
    await end(false)
    throw error
  })
  await end(true)
  return result
}

/** As this Prometheus writes it beside everything. */
const environmentOf = ({ Config }: Container): string =>
  (Config.Env ?? []).flatMap(one => /^KGC_ENVIRONMENT=(.+)/.exec(one)?.[1] ?? [])[0] ?? ''

/** The metric's text, at a time of this machine's clock, ms. */
export const formatMarker = (release: string, isWell: boolean, now: number): string =>
  `# HELP kgc_deploy_timestamp_seconds When the last start or deploy ended.
# TYPE kgc_deploy_timestamp_seconds gauge
kgc_deploy_timestamp_seconds{release="${release}",result="${isWell ? 'succeeded' : 'failed'}"} ${Math.floor(now / 1000)}
`

async function writeMarker({ project }: Stack, isWell: boolean): Promise<void> {
  const head = await run(['git', '-C', root, 'rev-parse', '--short', 'HEAD'], { nothrow: true })
  await writeMetrics(project, 'kgc_deploy', formatMarker(head.stdout.trim(), isWell, Date.now()))
}
