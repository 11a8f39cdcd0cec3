// The steps, each said before it is done.
import { Refused, ways } from './advice.mjs'
import { lacking, missing } from './compare.mjs'
import { planOf } from './plan.mjs'
import * as prisma from './prisma.mjs'
import { wantedOf } from './wanted.mjs'

const stateOf = async db => ({
  tables: await db.tables(),
  history: await db.history(),
  records: await db.records(),
})

/** Brings the database to the image's schema. Throws Refused. */
export async function migrate(db, image, say) {
  const plan = planOf(image, await stateOf(db))
  if (plan === 'nothing') return say(`the database is kept as it is for the schema ${image.short}`)
  const wanted = await readable(image)
  if (plan === 'push' || plan === 'fill')
    return image.migrations.length ? filled(db, image, wanted, say) : pushed(db, image, say)
  if (plan === 'open') await db.openBook()
  say(`${image.migrations.length} migrations, applying those that are new`)
  deploy(image, await db.history(), say)
  await compared(db, image, wanted)
  await db.record(image.checksum, 'migrated')
  say(`the database has the schema ${image.short}`)
}

/** Pushes the datamodel, whatever was there before, and makes what the migrations make beyond it. */
export async function push(db, image, say) {
  const wanted = await readable(image)
  return image.migrations.length ? filled(db, image, wanted, say) : pushed(db, image, say)
}

/** Records that the image works with the database as it is. */
export async function keep(db, image, say) {
  await db.record(image.checksum, 'kept')
  say(`the database is left as it is; recorded for the schema ${image.short}`)
}

/** What the migrations make, before anything is touched. Throws Refused for a statement that it does not know. */
async function readable(image) {
  const wanted = await wantedOf(image.migrations)
  if (!wanted.unknown.length) return wanted
  const list = wanted.unknown.map(({ migration, kind }) => `${kind} in ${migration}`).join(', ')
  throw new Refused(
    `what these statements make cannot be compared with the database: ${list}; nothing was touched`,
    [ways.keep(image, 'once the database has been migrated by hand')],
  )
}

/** Without migrations: the datamodel alone. */
async function pushed(db, image, say) {
  say(`no migrations in this commit, pushing the datamodel ${image.short}`)
  pushOrRefuse(image)
  await db.record(image.checksum, 'pushed')
}

function pushOrRefuse(image) {
  const { code, said } = prisma.push()
  if (code === 0) return
  if (!/data loss|cannot be executed/.test(said))
    throw new Error(`prisma db push ended with ${code}`)
  throw new Refused(
    `the datamodel is not pushed, for data would be lost. Its SQL:\n${prisma.difference().trim()}`,
    [
      {
        when: 'save what is needed of it and change the database by hand, then',
        command: 'the same again',
      },
      ways.keep(image, 'if this version works with the schema as it is'),
    ],
  )
}

/**
 * KGC's migrations have no baseline: the datamodel is pushed, they are marked, and what they make beyond it is made. That it has begun is recorded first:
 * the next run goes on where this one was killed. Rows that migrations insert are for a database that was empty.
 */
async function filled(db, image, wanted, say) {
  say('pushing the datamodel, marking all migrations as applied, making what they make beyond it')
  const empty = !(await db.tables()) || (await db.records()).at(-1)?.how === 'begun'
  await db.record(image.checksum, empty ? 'begun' : 'asked')
  pushOrRefuse(image)
  for (const { name } of image.migrations)
    if (!(await db.history())?.applied.includes(name) && prisma.markApplied(name).code !== 0)
      throw new Error(`${name} could not be marked as applied`)
  await db.together(async () => {
    for (const { key, sql, migration } of await missing(db, wanted)) {
      say(`  ${key}`)
      if (!sql)
        throw new Refused(`${key} of ${migration} cannot be made by itself: make it by hand`, [
          { when: 'then', command: 'the same again' },
        ])
      for (const one of sql) await db.rows(one)
    }
    for (const sql of empty ? wanted.rows : []) await db.rows(sql)
    await db.record(image.checksum, 'filled')
  })
  await compared(db, image, wanted)
  await db.record(image.checksum, 'migrated')
  say(`the database has the schema ${image.short}`)
}

/** `prisma migrate deploy`; a migration that has changed nothing is marked as rolled back, so that it is tried again. */
function deploy(image, { applied }, say) {
  const { code, said } = prisma.deploy()
  if (code === 0) return
  const { refused, code: state, stands } = prisma.failureIn(said)
  if (refused) {
    const sql = image.migrations.find(({ name }) => name === refused)?.sql
    if (prisma.changedNothing(sql, state) && prisma.markRolledBack(refused).code === 0)
      throw new Refused(
        `${refused} has changed nothing, the database took it back as a whole; the next migration tries it again`,
        [
          ways.push(
            image,
            'if the database has had what it makes by `db push` of an earlier commit',
          ),
        ],
      )
  }
  const name = refused ?? stands
  if (!name) throw new Error(`prisma migrate deploy ended with ${code}`)
  if (!refused && image.migrations.every(one => applied.includes(one.name)))
    return say(
      `all migrations of this version are applied; ${stands} failed under another one and is not resolved`,
    )
  throw new Refused(
    `${name} failed and may have changed something; until it is resolved no other migration runs (P3009)`,
    [ways.rolledBack(name)],
  )
}

/** Holds what the datamodel and the migrations want against what is there. Throws Refused with what is missing. */
async function compared(db, image, wanted) {
  const statements = await lacking(prisma.difference())
  if (statements.length)
    throw new Refused(
      `the database lacks what the datamodel has, and no migration makes it (drift):\n${statements.join('\n')}`,
      [
        ways.push(image, 'to push it without data loss'),
        ways.keep(image, 'if this version works without it'),
      ],
    )
  const absent = await missing(db, wanted)
  if (absent.length)
    throw new Refused(
      `the migrations are applied, but what they make is not there (drift): ${absent.map(({ key, migration }) => `${key} (${migration})`).join(', ')}`,
      [ways.push(image, 'to make it'), ways.keep(image, 'if it was taken away on purpose')],
    )
}
