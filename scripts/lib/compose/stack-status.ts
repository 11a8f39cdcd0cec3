// Judges a stack that is changing. In: the containers before, the containers now, and the wanted
// services; out: a verdict for each. Pure. `docker compose up --wait` calls a crash loop without a
// health check healthy, and a one-shot that succeeded a failure.
import type { Container } from './containers.ts'
import type { ContainerStatus } from './container-status.ts'
import { isUpToDate, settling, serviceStatus, type ServiceView } from './service-status.ts'
import type { ProgressState } from '../progress.ts'

export interface ServiceStatus {
  service: string
  state: ProgressState
  /** In words: 'healthy', 'starting', 'crash loop: exit 1, 3 restarts' … */
  detail: string
  /** That of its container; undefined where there is none. */
  container?: ContainerStatus
}

/** What is wanted of a service. */
export interface ExpectedService {
  service: string
  oneShot: boolean
  /** The services that it depends on. */
  dependencies: string[]
  /**
   * Compose's hash of its configuration, and the id of its image; another one is of an older
   * generation. Not known: undefined.
   */
  hash: string | undefined
  image: string | undefined
}

/** The stack at one moment. */
export interface StackSnapshot {
  /** ms of the clock. */
  at: number
  /** By service. */
  containers: Map<string, Container>
  /** What was there when Compose was called, by id. */
  containersBefore: Map<string, Container>
  /** Compose's exit code; undefined while it works. */
  composeExitCode?: number | undefined
}

/**
 * From when on a container answers for itself: what it did while others were away, or Compose was
 * at work on it, does not count.
 */
export interface AccountableSince {
  id: string
  restarts: number
  /** ms of the clock. */
  at: number
  /** It does not answer for itself yet. */
  pending: boolean
}

export interface StackStatus {
  verdicts: ServiceStatus[]
  accountable: Map<string, AccountableSince>
  /** Something that Compose has made or started in this run is not ready. */
  busy: boolean
}

/**
 * The verdicts on all services at this look; `last` is the look's before. While Compose works only
 * a container that it has made or started in this run can fail, once all that it depends on is
 * ready: any other may be about to be replaced. After that each answers for itself.
 */
export function judgeStack(
  expected: ExpectedService[],
  snapshot: StackSnapshot,
  last?: StackStatus,
): StackStatus {
  const verdicts = new Map<string, ServiceStatus>()
  const accountable = new Map<string, AccountableSince>()
  const steady = new Set<string>()
  let busy = false
  for (const one of sortByDependency(expected)) {
    const { service } = one
    const container = snapshot.containers.get(service)
    const awaited = one.dependencies.find(need => !steady.has(need))
    const view = container && createServiceView(one, container, snapshot, awaited, last)
    if (view) accountable.set(service, view.accountable)
    const verdict = view ? serviceStatus(view) : notCreated
    verdicts.set(service, { service, ...verdict })
    if (!awaited && (verdict.state === 'ready' || verdict.detail === settling)) steady.add(service)
    busy ||= Boolean(view?.startedByCompose) && verdict.state === 'waiting'
  }
  return { verdicts: expected.map(({ service }) => verdicts.get(service)!), accountable, busy }
}

const notCreated = { state: 'absent', detail: 'not created' } as const

/** What a service depends on comes before it. */
function sortByDependency(expected: ExpectedService[]): Set<ExpectedService> {
  const order = new Set<ExpectedService>()
  const add = (one: ExpectedService | undefined) => {
    if (!one || order.has(one)) return
    for (const need of one.dependencies) add(expected.find(({ service }) => service === need))
    order.add(one)
  }
  expected.forEach(add)
  return order
}

function createServiceView(
  expected: ExpectedService,
  container: Container,
  snapshot: StackSnapshot,
  missingDependency: string | undefined,
  last: StackStatus | undefined,
): ServiceView {
  const containerBefore = snapshot.containersBefore.get(container.Id)
  const startedByCompose =
    !containerBefore ||
    (isUpToDate(expected, container) &&
      container.State.StartedAt !== containerBefore.State.StartedAt)
  // what was well before may ask others than those that it names
  const pending =
    missingDependency !== undefined ||
    (!startedByCompose && (snapshot.composeExitCode === undefined || Boolean(last?.busy)))
  const first = { id: container.Id, restarts: containerBefore?.RestartCount ?? 0, at: 0, pending }
  return {
    expected,
    container,
    snapshot,
    containerBefore,
    startedByCompose,
    missingDependency,
    accountable: updateAccountable(
      container,
      snapshot,
      pending,
      last?.accountable.get(expected.service) ?? first,
    ),
  }
}

function updateAccountable(
  { Id: id, RestartCount: restarts }: Container,
  { at }: StackSnapshot,
  pending: boolean,
  last: AccountableSince,
): AccountableSince {
  if (pending) return { id, restarts, at, pending }
  if (last.id !== id) return { id, restarts: 0, at: 0, pending }
  return last.pending ? { ...last, at, pending } : last
}
