// Horilla's commands.
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Broken } from '../../lib/log.mjs'
import { migrate as migrateTo, pending, stepsOf } from '../../lib/migrate.mjs'
import { start } from '../../lib/process.mjs'
import { scheduler } from './scheduler.mjs'
import { createUser, migrations, open, steps } from './stores.mjs'
import { web } from './web.mjs'

const staticFiles = '/app/staticfiles'

/** What was demanded by now is all: the shell script beside this file does the rest. */
async function entrypoint({ log }) {
  log.info('entrypoint: variables and volumes are in order')
}

async function migrate(context) {
  const { env, log, contract, faults } = context
  const pool = open(context)
  try {
    const count = await migrateTo({ pool, table: migrations, steps: stepsOf(steps, env), seconds: contract.migration.seconds, faults, log })
    log.info(count ? 'migrated' : 'no migrations to apply', { count })
  } finally {
    await pool.end()
  }
}

/** Django's own check: fails while a migration of this image has not run. */
async function migrateCheck(context) {
  const missing = await pending(open(context), migrations, stepsOf(steps, context.env))
  if (missing.length) throw new Broken(`Planned operations:\n${missing.map(({ id }) => id).join('\n')}`)
}

/** Empties the folder and fills it again. */
async function collectstatic({ log }) {
  try {
    mkdirSync(staticFiles, { recursive: true })
    for (const name of readdirSync(staticFiles)) rmSync(join(staticFiles, name), { recursive: true })
    writeFileSync(join(staticFiles, 'horilla.css'), 'body { font-family: sans-serif }\n')
  } catch (error) {
    throw new Broken(`PermissionError: ${staticFiles}: ${error.code}`)
  }
  log.info('static files collected', { folder: staticFiles })
}

/** Django's own command: a superuser without an Employee record, so the initialisation page stays open. */
async function createsuperuser(context) {
  const { DJANGO_SUPERUSER_USERNAME: username, DJANGO_SUPERUSER_EMAIL: email = '', DJANGO_SUPERUSER_PASSWORD: password } = context.env
  if (!username || !password) throw new Broken('CommandError: You must use --username with --noinput.')
  const pool = open(context)
  try {
    await createUser(pool, { username, email, password, superuser: true })
  } catch (error) {
    throw error.code === '23505' ? new Broken('CommandError: Error: That username is already taken.') : error
  } finally {
    await pool.end()
  }
}

/** No Python here: plays the one script that makes users, known by the calls that it must hold. */
async function shell(context) {
  const script = readFileSync(0, 'utf8')
  for (const call of ['get_user_model()', 'create_superuser', 'Employee.objects', 'transaction.atomic()'])
    if (!script.includes(call)) throw new Broken(`the stand-in knows only a script that calls ${call}`)
  const data = /json\.loads\(("(?:[^"\\]|\\.)*")\)/.exec(script)?.[1]
  if (!data) throw new Broken('the stand-in finds no json.loads("…") in the script')
  const client = await open(context).connect()
  await client.query('BEGIN')
  for (const one of JSON.parse(JSON.parse(data))) console.log(`kgc: ${one.username}: ${await provide(client, one)}`)
  await client.query('COMMIT')
}

async function provide(client, { username, email, password, first, last, phone, admin }) {
  const { rows } = await client.query('SELECT id, is_superuser FROM horilla_auth_horillauser WHERE username = $1', [username])
  if (admin && rows.length && !rows[0].is_superuser) throw new Broken(`RuntimeError: ${username} is there and no superuser`)
  const id = rows[0]?.id ?? (await createUser(client, { username, email, password, superuser: admin }))
  if (!admin) await client.query(`UPDATE horilla_auth_horillauser SET permissions = '{employee.view_employee}' WHERE id = $1`, [id])
  const { rowCount } = await client.query(
    `INSERT INTO employee_employee (employee_user_id, employee_first_name, employee_last_name, email, phone) SELECT $1, $2, $3, $4, $5
     WHERE NOT EXISTS (SELECT 1 FROM employee_employee WHERE employee_user_id = $1)`, [id, first, last, email, phone])
  return rows.length ? (rowCount ? 'was there, its Employee record is new' : 'was there') : 'created'
}

/** Starts what runs for long. */
const lasting = work => async context => {
  await start(context)
  await work(context, open(context))
  return true
}

export const commands = {
  entrypoint, migrate, migrateCheck, collectstatic, createsuperuser, shell,
  web: lasting(web), scheduler: lasting(scheduler),
  // the image's default command: only the container itself can reach it
  runserver: lasting((context, pool) => web(context, pool, '127.0.0.1')),
}
