// What every Redis of the stack owes to its application, asked in its own container.
import { OutsideServiceError, type SmokeCheck } from './checks.ts'
import { judgeRedis, parseRedisState, redisQuestion, redisRemedy } from '../redis.ts'

/** The checks of the Redis in `service`. */
export const redisChecks = (service: string): SmokeCheck[] => [
  {
    name: 'its Redis takes writes and has room',
    async run({ exec }) {
      try {
        const state = parseRedisState(await exec(service, ['sh', '-c', redisQuestion]))
        const wrong = judgeRedis(state)
        if (wrong) throw new Error(`${service}: ${wrong}. ${redisRemedy}`)
        return `${Math.round((100 * state.used) / (state.limit || Infinity))} % used`
      } catch (error) {
        if (error instanceof OutsideServiceError) return 'a server from outside: not asked'
        throw error
      }
    },
  },
]
