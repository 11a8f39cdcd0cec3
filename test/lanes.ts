// Which test files may run beside which. A group is a lane: what waits for containers in one runs
// beside what computes in another.

export interface Job {
  name: string
  /** Nothing else of its lane runs beside it. */
  alone?: boolean
  /** It goes before the others. */
  long?: boolean
}

/** How many files of a group run at once. Most of unit waits for time-outs and uses no processor. */
export const widths = { lint: 2, unit: 6, policy: 2, compose: 1, cluster: 2 }

// a whole environment, or many deploys at once: two cores have no room for more beside it; or it restarts the edge of all
const whole = [
  'cluster/backup/certificates',
  'cluster/demo',
  'cluster/rehearsal/rehearsal',
  'cluster/whole/whole',
  'cluster/deploy/race',
  'cluster/deploy/outage',
]

// they go first: at the end of a run nothing would be beside them. Not compose/stack: beside the cluster's whole
// environments it would be the third stack on two cores
const long = [
  ...['failures', 'restore', 'deploy', 'secrets', 'interrupted'].map(
    name => `cluster/deploy/${name}`,
  ),
  ...['deploy-outcome', 'rollout', 'workflows', 'run', 'lanes', 'apply'].map(
    name => `unit/${name}`,
  ),
  ...['bump', 'status', 'init'].map(name => `unit/forks/${name}`),
  ...['backup', 'rotation', 'upgrade'].map(name => `compose/${name}/${name}`),
]

const among = (files: string[], name: string) => files.some(file => name === `${file}.test.ts`)
/** Whether a test file runs alone in its lane. */
export const isAlone = (name: string): boolean => among(whole, name)
/** Whether a test file takes longer than most. */
export const isLong = (name: string): boolean => among(long, name)

/**
 * Runs the jobs of a lane in order, those that run alone first, then the long ones, then the
 * others, `width` at a time, and one more once `room` has come. Comes when all have come to their
 * end, and waits for no room; `run` must not throw.
 */
export async function lane<J extends Job>(
  jobs: J[],
  width: number,
  run: (job: J) => Promise<void>,
  room?: Promise<unknown>,
): Promise<void> {
  for (const job of jobs.filter(({ alone }) => alone)) await run(job)
  const beside = jobs.filter(({ alone }) => !alone)
  const waiting = [...beside.filter(({ long }) => long), ...beside.filter(({ long }) => !long)]
  const track = async () => {
    for (let next = waiting.shift(); next; next = waiting.shift()) await run(next)
  }
  let more: Promise<void> | undefined
  void room?.then(() => (more = track()))
  await Promise.all(Array.from({ length: width }, track))
  await more
}
