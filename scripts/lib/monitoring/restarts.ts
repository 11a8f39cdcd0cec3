// Silences what the restarts of a start or a deploy raise, and nothing else: a disk that fills
// meanwhile is told.
import { hostname, userInfo } from 'node:os'
import { warn } from '../report.ts'

/** Sends to Alertmanager, whose path begins with /api/v2. Out: its answer. */
export type AlertmanagerPost = (path: string, body: object) => Promise<string>

/** What a container or pod that is replaced may raise. */
export const restartAlerts = [
  'ContainerGone',
  'ContainerMetricsMissing',
  'ContainerRestarting',
  'ContainerUnhealthy',
  'DatabaseDown',
  'MailNotGoingOut',
  'OldestJobTooOld',
  'ProbeFailing',
  'QueueMetricsFailing',
  'RedisDown',
  'RequestsFailing',
  'RequestsFailingLowTraffic',
  'ResponsesSlow',
  'TargetDown',
  'TargetGone',
]

/** ms of a silence whose end nobody has said: who began it was killed. */
const longestMs = 3_600_000
/** ms after which what restarts raised has ended by itself. */
const settledMs = 300_000

/** ms to the end of one that ends at once: Alertmanager takes none that is over when it arrives. */
const soonMs = 30_000

/** A silence that is there, as Alertmanager takes it. */
export type RestartSilence = Record<string, unknown> & { id: string }

/**
 * Silences them in an environment. Out: the silence; undefined where Alertmanager does not take it,
 * which is a warning.
 */
export async function silenceRestarts(
  post: AlertmanagerPost,
  environment: string,
  reason: string,
): Promise<RestartSilence | undefined> {
  const now = Date.now()
  const equal = { isRegex: false, isEqual: true }
  const silence = {
    matchers: [
      { name: 'environment', value: environment, ...equal },
      { name: 'alertname', value: restartAlerts.join('|'), isRegex: true, isEqual: true },
    ],
    startsAt: new Date(now).toISOString(),
    endsAt: new Date(now + longestMs).toISOString(),
    createdBy: `${userInfo().username}@${hostname()}`,
    comment: reason,
  }
  const answer = await warned('Alerts are not silenced', () => post('/api/v2/silences', silence))
  return answer ? { ...silence, id: JSON.parse(answer).silenceID } : undefined
}

/** Ends it: when what was raised has ended by itself, or at once where people must be told. */
export async function endSilence(
  post: AlertmanagerPost,
  silence: RestartSilence | undefined,
  isWell: boolean,
): Promise<void> {
  if (!silence) return
  const endsAt = new Date(Date.now() + (isWell ? settledMs : soonMs)).toISOString()
  await warned(`Silence ${silence.id} ends at ${silence.endsAt as string} only`, () =>
    post('/api/v2/silences', { ...silence, endsAt }),
  )
}

/** What `work` returns; its failure is a warning, never a result. */
export async function warned<T>(words: string, work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work()
  } catch (error) {
    warn(`${words}: ${(error as Error).message}`)
    return undefined
  }
}
