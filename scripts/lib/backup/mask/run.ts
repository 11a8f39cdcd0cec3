// Takes people out of a restored database, before it takes its place (mask.sql).
import { Readable } from 'node:stream'
import { exit, Failure } from '../../errors.ts'
import { say } from '../../report.ts'
import { readScratchText, restoredName } from '../database.ts'
import type { RestorePlace } from '../engine.ts'
import { parseMeasured } from '../helper.ts'
import type { PlannedDatabase } from '../plan.ts'
import type { MaskRules } from './rules.ts'

/** Takes people out of the restored database. Throws Failure (5) that names each column that nobody has decided about. */
export async function maskDatabase(
  place: RestorePlace,
  { database, login }: PlannedDatabase,
  rules: MaskRules,
): Promise<void> {
  const what = `Mask ${database}`
  const text = Buffer.from(JSON.stringify(rules))
  await place.write(`${database}/mask.json`, text.length, () =>
    Promise.resolve(Readable.from([text])),
  )
  const env = { DATABASE: database, NEW: restoredName(database), LOGIN: login }
  const said = await place.run(what, ['mask.sh'], env).catch((error: Error) => {
    throw error instanceof Failure ? maskFailure(error) : error
  })
  const masked = await readScratchText(place, parseMeasured(what, said)[0]!)
  say(`  ${database}: ${summarizeMasked(masked)}`)
}

const maskFailure = ({ what, why, evidence }: Failure): Failure =>
  new Failure(exit.rolledBack, what, why, {
    ...(evidence ? { evidence } : {}),
    next: 'name it in the mask.yaml of its application (keep, replace or empty), then the same command again; nothing has been changed',
  })

/** What mask.sql has printed, in a sentence. */
export function summarizeMasked(text: string): string {
  const lines = text.split('\n').filter(Boolean)
  const count = (decision: string) => lines.filter(line => line.startsWith(`${decision}\t`)).length
  const [own, others] = [count('replaced'), count('masked')]
  return `${own + others} columns masked, ${own} as mask.yaml says and ${others} as it says of all others; ${count('emptied')} tables emptied`
}
