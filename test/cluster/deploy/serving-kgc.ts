// KGC in an environment of a test, asked all the time while its passwords are rotated.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { waitUntil } from '../../until.ts'
import type { Json } from '../manifests.ts'
import { askApi, kgcObjects, kgcSecrets, letsIn, makePriorities, redisCounts } from './kgc-stack.ts'
import type { createTestEnvironment } from './test-environment.ts'

/** Prepares it beside the objects of `more`; nothing is deployed yet. */
export function createServingKgc(
  { space, box, env, write, start }: ReturnType<typeof createTestEnvironment>,
  more: Json[] = [],
) {
  const secrets = kgcSecrets(space)
  let client: ReturnType<typeof askApi>
  /** Writes what the next deploy brings; a check of it fails where `fault` is given. */
  function prepare(fault = '') {
    const command = ['redis-server', '--save', '', '--protected-mode', 'no']
    write({ command, more: [...more, secrets.object, ...kgcObjects(space, { FAULT: fault })] })
  }
  const deploy = (fault = '') => {
    prepare(fault)
    return box.script(['deploy', 'test'], { env, timeout: 340_000 })
  }
  return {
    values: secrets.values,
    rotate: secrets.rotate,
    deploy,
    /** Deploys without waiting for the end. */
    start() {
      prepare()
      return start(['deploy', 'test'])
    },
    /** The first deploy; from then on it is asked. */
    async begin() {
      makePriorities()
      writeFileSync(
        join(box.docker, 'alpha/smoke.ts'),
        `export const checks = [{ name: 'no fault', async run({ exec }) {
  const said = (await exec('asker', ['sh', '-c', 'echo fault: $FAULT'])).trim()
  if (said !== 'fault:') throw new Error(said)
} }]\n`,
      )
      const { code, stderr } = deploy()
      assert.is(code, 0, stderr)
      client = askApi(space)
      // the network may let pods through only at its next round, a minute later (cloudnativelabs/kube-router#1652)
      await waitUntil(
        'good answers',
        180,
        () => client.asked() > 10 && redisCounts(space).good > 10,
      )
    },
    /** Whether the database and Redis let these values in. */
    letIn: ({ KGC_DB_LOGIN, KGC_DB_PASSWORD, KGC_REDIS_PASSWORD }: Record<string, string>) => [
      letsIn(space, KGC_DB_LOGIN!, KGC_DB_PASSWORD!),
      letsIn(space, '', KGC_REDIS_PASSWORD!),
    ],
    /** Throws when an answer was lost up to now, or nothing was asked meanwhile. */
    async nothingLost() {
      const before = client.asked()
      await waitUntil('more answers', 30, () => client.asked() > before + 5)
      assert.equal(client.lost(), [])
      assert.is(redisCounts(space).refused, 0)
    },
    counts: () => `${client.asked()} answers, Redis ${JSON.stringify(redisCounts(space))}`,
  }
}
