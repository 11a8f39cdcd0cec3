// Whether monitoring belongs to a stack.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'dotenv'
import { exit, Failure } from '../errors.ts'
import { dockerFolder } from '../repository.ts'

/**
 * MONITORING=1 or 0, of the command before that of the root env file; without either production is
 * monitored and nothing else is. Throws Failure (usage) for another value.
 */
export function isMonitored(mode: string, suffix: string): boolean {
  const file = join(dockerFolder, `.env${suffix}`)
  const written = existsSync(file) ? parse(readFileSync(file, 'utf8')).MONITORING : undefined
  const given = process.env.MONITORING || written
  if (!given) return mode === 'prod'
  if (given === '0' || given === '1') return given === '1'
  throw new Failure(exit.usage, 'Choose the monitoring', 'MONITORING is neither 1 nor 0', {
    next: 'MONITORING=1 joins it to the stack, MONITORING=0 leaves it out',
  })
}
