// Brings KGC's database to the schema of this image: the service and the Job kgc-migrate. Nothing here accepts data loss.
// Usage: node main.mjs           brings it there, or says why not and which command goes on
//        node main.mjs wait      ends when the database has been brought to this image's schema
//        node main.mjs push      pushes the datamodel whatever was there before, marks the migrations, makes what they make beyond it
//        node main.mjs keep      leaves the database as it is and records that this image works with it
//        node main.mjs prisma …  Prisma's own command
// Exit codes: 0 done · 1 refused or failed, with the reason
import { Refused } from './advice.mjs'
import { imageOf } from './image.mjs'
import { connect } from './database.mjs'
import { keep, migrate, push } from './steps.mjs'
import { prisma } from './prisma.mjs'

const say = words => console.log(`migrate: ${words}`)
const pause = 3_000

/** Ends when a row of ours says that the database has had this schema: also when a newer one has come on top of it since. */
async function wait(image) {
  for (let said = ''; ; await new Promise(done => setTimeout(done, pause))) {
    const words = await connect(db => db.has(image.checksum)).then(
      has => (has ? '' : `waiting for the schema ${image.short}`),
      error => `waiting for the database: ${error.message}`,
    )
    if (!words) return
    if (words !== said) say((said = words))
  }
}

const [verb = 'migrate', ...rest] = process.argv.slice(2)
const verbs = { migrate, push, keep }
try {
  if (verb === 'prisma') process.exitCode = prisma(rest).code
  else if (verb === 'wait') await wait(imageOf())
  else if (verbs[verb])
    await connect(async db => {
      await db.lock()
      await db.prepare()
      return verbs[verb](db, imageOf(), say)
    })
  else throw new Refused(`unknown: ${verb}`, [])
} catch (error) {
  say(
    error instanceof Refused
      ? error.message
      : `failed: ${process.env.DEBUG ? error.stack : error.message}`,
  )
  process.exitCode = 1
}
