// Which test files may run beside which. A group is a lane: what waits for containers in one runs beside what computes in another.

export interface Job {
  name: string
  /** What no other job of its lane may have at the same time; `everything` runs by itself in the lane. */
  holds?: string[]
}

/** How many files of a lane run at once. */
export const widths = { checks: 2, compose: 2, cluster: 2 }

// these namespaces have fixed names: Traefik and the environments' files know them
const staging = ['kgc-staging']
const held: Record<string, string[]> = {
  // the longest: they go first
  'compose/stack/stack.test.ts': ['the whole stack'],
  'compose/images/images.test.ts': ['registries'],
  'compose/images/stock.test.ts': ['registries'],
  // drains the node
  'cluster/demo.test.ts': ['everything'],
  'cluster/apply.test.ts': staging,
  'cluster/rehearsal/rehearsal.test.ts': staging,
  'cluster/scripts.test.ts': staging,
  'cluster/deploy/traffic.test.ts': staging,
}

/** What a test file holds while it runs. */
export const holds = (name: string): string[] => held[name] ?? []

/**
 * Runs the jobs of a lane, `width` at a time, in order, but those that hold something first: others fill the time beside them.
 * Comes when all have come to their end; `run` must not throw.
 */
export function lane<J extends Job>(jobs: J[], width: number, run: (job: J) => Promise<void>): Promise<void> {
  const rank = ({ holds = [] }: Job) => (holds.includes('everything') ? 0 : holds.length ? 1 : 2)
  const waiting = jobs.toSorted((a, b) => rank(a) - rank(b))
  const running = new Set<J>()
  const free = (job: J) => {
    if (running.size >= width) return false
    if (rank(job) === 0) return running.size === 0
    return ![...running].some(other => rank(other) === 0 || other.holds?.some(thing => job.holds?.includes(thing)))
  }
  return new Promise(done => {
    const go = () => {
      for (let next; (next = waiting.find(free)); ) start(next)
      if (!waiting.length && !running.size) done()
    }
    const start = (job: J) => {
      waiting.splice(waiting.indexOf(job), 1)
      running.add(job)
      void run(job).then(() => (running.delete(job), go()))
    }
    go()
  })
}
