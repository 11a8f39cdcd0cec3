// What is to be done, by what the image holds and what the database says. Pure.
import { Refused, ways } from './advice.mjs'

/**
 * @typedef {{ tables: number, history?: { applied: string[], failed: string[] }, records: { checksum: string, how: string, at: Date }[] }} State
 * @typedef {'nothing' | 'push' | 'fill' | 'open' | 'deploy'} Plan nothing: a person keeps it; push: the datamodel; fill: an empty database, also one of
 *   which that was begun: the datamodel, and what the migrations make beyond it; open: the first migrations of a database that was pushed; deploy
 */

const some = names =>
  names.length > 3
    ? `${names.slice(0, 3).join(', ')} and ${names.length - 3} more`
    : names.join(', ')
const day = date => new Date(date).toISOString().slice(0, 10)

/** @returns {Plan} Throws Refused when a person must decide. */
export function planOf(image, { tables, history, records }) {
  const last = records.at(-1)
  const mine = last?.checksum === image.checksum
  if (mine && last.how === 'kept') return 'nothing'
  if (mine && ['asked', 'filled'].includes(last.how)) return 'fill'
  const names = image.migrations.map(({ name }) => name)
  const foreign = (history?.applied ?? []).filter(name => !names.includes(name))
  if (foreign.length) throw names.length ? older(image, foreign) : dropped(image, foreign)
  const begun = last?.how === 'begun'
  if (begun || !tables) {
    if (!names.length) return 'push'
    return begun || !history?.applied.length ? 'fill' : 'deploy'
  }
  if (!names.length) return pushed(image, records)
  if (history) return 'deploy'
  if (records.some(({ how }) => how === 'pushed')) return 'open'
  throw notEmpty(image, tables)
}

/** A push takes away what an older datamodel does not have, and what is empty without a word: an older one is not pushed. */
function pushed(image, records) {
  const all = records.filter(({ how }) => how === 'pushed' || how === 'migrated')
  const before = all.findLast(({ checksum }) => checksum === image.checksum)
  if (!before || all.at(-1) === before) return 'push'
  throw new Refused(
    `this image is older than the database: it had the schema ${image.short} on ${day(before.at)}, since then ${all.at(-1).checksum.slice(0, 12)}; pushed, it would take away what came since`,
    [
      ways.keep(image, 'if this version works with the newer schema'),
      ways.push(image, 'if it is a newer commit that takes the change back'),
      ways.newer,
    ],
  )
}

const older = (image, foreign) =>
  new Refused(
    `this image is older than the database, which has had migrations that it does not have: ${some(foreign)}`,
    [ways.keep(image, 'if this version works with the newer schema'), ways.newer],
  )

const dropped = (image, foreign) =>
  new Refused(
    `this commit has no migrations, but the database has had ${foreign.length}: ${some(foreign)}; either it is older, or it has dropped them`,
    [ways.keep(image, 'if it works with the schema as it is'), ways.newer],
  )

const notEmpty = (image, tables) =>
  new Refused(
    `the database has ${tables} tables and no record of migrations (P3005): which of them it has had is not known`,
    [
      ways.push(
        image,
        'if it was made by `db push`: the datamodel is pushed without data loss, the migrations are marked as applied',
      ),
    ],
  )
