// A Job as a place where a backup works: what takes long runs in it by itself and is asked for, so that no
// connection must last.
import { setTimeout as sleep } from 'node:timers/promises'
import { exit, Failure } from '../../errors.ts'
import { describeApiError, isApiSuccess, requestApi } from '../../kubernetes/api.ts'
import { describeUnreadyPods } from '../../kubernetes/diagnosis/pod.ts'
import type { Environment } from '../../kubernetes/environment.ts'
import { execInPod } from '../../kubernetes/exec.ts'
import { kubectlArgv } from '../../kubernetes/kubectl.ts'
import { selectKinds, type Manifest, type Pod } from '../../kubernetes/objects.ts'
import { listObjects, resourcePath } from '../../kubernetes/resources.ts'
import { startStopwatch } from '../../deploy/lock/stopwatch.ts'
import type { RestorePlace } from '../engine.ts'
import { findCause, parseMeasured } from '../helper.ts'
import { backupLabel, workFolder } from './job.ts'
import { measureRemoteFile, readRemoteFile, writeRemoteFile, type PodShell } from './transport.ts'

/** ms: an image may have to be pulled, a volume to come loose. */
const startLimitMs = 300_000
/** ms for which a Job that runs may not be reached. */
const silenceLimitMs = 120_000

/** A place whose shell can be asked for little things, too. */
export type PodPlace = RestorePlace & { shell: PodShell }

/** Creates an object of a backup. Out: as the cluster has it. Throws Failure (refused). */
export async function createObject(
  environment: Environment,
  resource: string,
  body: Manifest,
): Promise<Manifest> {
  const what = `Make ${body.metadata.name}`
  const path = resourcePath(environment, resource)
  const answer = await requestApi(environment, path, { method: 'POST', body, what })
  if (!isApiSuccess(answer)) throw new Failure(exit.refused, what, describeApiError(answer))
  return JSON.parse(answer.text) as Manifest
}

const podsOf = async (environment: Environment, job: string): Promise<Pod[]> =>
  selectKinds(await listObjects(environment, ['v1/pods']), 'Pod').filter(
    ({ metadata }) => metadata.labels?.['batch.kubernetes.io/job-name'] === job,
  )

/** Starts a Job and waits until its pod runs. Throws Failure (5) with what keeps it from that. */
export async function startPlace(environment: Environment, job: Manifest): Promise<PodPlace> {
  const { name } = job.metadata
  await createObject(environment, 'batch/v1/jobs', job)
  const passed = startStopwatch()
  for (;;) {
    const [pod] = await podsOf(environment, name)
    if (pod && isToolsRunning(pod)) return createPlace(environment, name, pod.metadata.name)
    if (pod?.status.phase === 'Failed' || passed() > startLimitMs)
      throw await createStartFailure(environment, name, pod)
    await sleep(500)
  }
}

const isToolsRunning = ({ status }: Pod): boolean =>
  Boolean(status.containerStatuses?.some(({ name, state }) => name === 'tools' && state?.running))

async function createStartFailure(
  environment: Environment,
  job: string,
  pod: Pod | undefined,
): Promise<Failure> {
  const events = selectKinds(await listObjects(environment, ['v1/events']).catch(() => []), 'Event')
  const own = events.filter(({ involvedObject }) => involvedObject.name === job)
  const said = pod
    ? describeUnreadyPods([pod], events, Date.now())
    : (own.at(-1)?.message ?? 'no pod was made of it')
  return new Failure(exit.rolledBack, `Start ${job}`, said || 'its pod does not run', {
    next: `${kubectlArgv(environment).join(' ')} describe pods --selector ${backupLabel}`,
  })
}

function createPlace(environment: Environment, job: string, pod: string): PodPlace {
  const shell: PodShell = (script, words = [], input) =>
    execInPod(environment, {
      ...{ pod, container: 'tools', input },
      argv: [
        'sh',
        '-c',
        `mkdir -p ${workFolder} && touch ${workFolder}/asked; ${script}`,
        ...words,
      ],
    })
  const run = (what: string, argv: string[], env: Record<string, string> = {}) =>
    runInPod(environment, { job, shell }, what, argv, env)
  return {
    shell,
    run: (what, [name = '', ...words], env) => run(what, ['sh', `/kgc/${name}`, ...words], env),
    read: async (name, read) => {
      const path = `/backup/${name}`
      return read(readRemoteFile(shell, path, await measureRemoteFile(shell, path)))
    },
    write: async (name, _, open) => {
      await writeRemoteFile(shell, `/backup/${name}`, await open())
      const what = `Measure ${name}`
      const said = await run(what, ['sh', '-c', '. /kgc/measure.sh && measure "$0"', name])
      return parseMeasured(what, said)[0]!
    },
    measureFreeSpace: async () => {
      const { stdout } = await shell('df -Pk /backup')
      return Number(stdout.trim().split('\n').at(-1)?.split(/\s+/)[3]) * 1024
    },
  }
}

// its own session: it goes on when the command that has started it ends
const startScript = `cd ${workFolder} && rm -f code
setsid sh -c '"$@" >out 2>err </dev/null; echo $? >code.new; mv code.new code' work "$@" >/dev/null 2>&1 </dev/null &`
const askScript = `cat ${workFolder}/code 2>/dev/null || echo running`
const resultScript = `tail -c 8000 ${workFolder}/err >&2; cat ${workFolder}/out`

async function runInPod(
  environment: Environment,
  { job, shell }: { job: string; shell: PodShell },
  what: string,
  argv: string[],
  env: Record<string, string>,
): Promise<string> {
  const settings = Object.entries(env).map(pair => pair.join('='))
  const begun = await shell(startScript, ['sh', 'env', ...settings, ...argv])
  if (begun.code !== 0) throw new Failure(exit.rolledBack, what, begun.stderr.trim())
  const code = await waitForCode(environment, job, shell, what)
  const { stdout, stderr } = await shell(resultScript)
  if (code === 0) return stdout
  throw new Failure(
    exit.rolledBack,
    what,
    findCause(stderr) ?? `${argv[1]?.replace('/kgc/', '')} ended with ${code}`,
    {
      evidence: stderr.trim().split('\n').slice(-12).join('\n'),
    },
  )
}

async function waitForCode(
  environment: Environment,
  job: string,
  shell: PodShell,
  what: string,
): Promise<number> {
  let silence = startStopwatch()
  for (let pause = 200; ; pause = Math.min(pause * 1.5, 3000)) {
    const { code, stdout, stderr } = await shell(askScript)
    if (code === 0 && /^\d+\s*$/.test(stdout)) return Number(stdout)
    if (code === 0) silence = startStopwatch()
    else {
      const pods = await podsOf(environment, job).catch(() => undefined)
      if (pods && pods[0]?.status.phase !== 'Running')
        throw await createStartFailure(environment, job, pods[0])
      if (silence() > silenceLimitMs)
        throw new Failure(exit.rolledBack, what, `${job} cannot be reached: ${stderr.trim()}`)
    }
    await sleep(pause)
  }
}
