// Horilla's commands.
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Broken, Refusal } from '../../lib/log.mjs'
import { migrate as migrateTo, pending, stepsOf } from '../../lib/migrate.mjs'
import { start } from '../../lib/process.mjs'
import { scheduler } from './scheduler.mjs'
import { createUser, migrations, open, steps } from './stores.mjs'
import { web } from './web.mjs'

const staticFiles = '/app/staticfiles'

/** What was demanded by now is all: the shell script beside this file does the rest. */
async function entrypoint({ log, role, env }) {
  // upstream's own test: both containers would otherwise race migrate (docker/entrypoint.sh)
  if (role === 'scheduler' && env.HORILLA_SKIP_RELEASE_TASKS !== '1')
    throw new Refusal(
      'HORILLA_SKIP_RELEASE_TASKS',
      'not 1: the scheduler would migrate beside the web',
      'docker/entrypoint.sh',
    )
  log.info('entrypoint: variables and volumes are in order')
}

async function migrate(context) {
  const { env, log, contract, faults } = context
  const pool = open(context)
  try {
    const count = await migrateTo({
      pool,
      table: migrations,
      steps: stepsOf(steps, env),
      seconds: contract.migration.seconds,
      faults,
      log,
    })
    log.info(count ? 'migrated' : 'no migrations to apply', { count })
  } finally {
    await pool.end()
  }
}

/** Django's own check: fails while a migration of this image has not run. */
async function migrateCheck(context) {
  const missing = await pending(open(context), migrations, stepsOf(steps, context.env))
  if (missing.length)
    throw new Broken(`Planned operations:\n${missing.map(({ id }) => id).join('\n')}`)
}

/** Empties the folder and fills it again. */
async function collectstatic({ log }) {
  try {
    mkdirSync(staticFiles, { recursive: true })
    for (const name of readdirSync(staticFiles))
      rmSync(join(staticFiles, name), { recursive: true })
    writeFileSync(join(staticFiles, 'horilla.css'), 'body { font-family: sans-serif }\n')
  } catch (error) {
    throw new Broken(`PermissionError: ${staticFiles}: ${error.code}`)
  }
  log.info('static files collected', { folder: staticFiles })
}

/** Django's own command: a superuser without an Employee record, so the initialisation page stays open. */
async function createsuperuser(context) {
  const {
    DJANGO_SUPERUSER_USERNAME: username,
    DJANGO_SUPERUSER_EMAIL: email = '',
    DJANGO_SUPERUSER_PASSWORD: password,
  } = context.env
  if (!username || !password)
    throw new Broken('CommandError: You must use --username with --noinput.')
  const pool = open(context)
  try {
    await createUser(pool, { username, email, password, superuser: true })
  } catch (error) {
    throw error.code === '23505'
      ? new Broken('CommandError: Error: That username is already taken.')
      : error
  } finally {
    await pool.end()
  }
}

/** No Python here: plays the one script that makes users, known by the calls that it must hold. */
async function shell(context) {
  const script = readFileSync(0, 'utf8')
  for (const call of [
    'get_user_model()',
    'create_superuser',
    'Employee.objects',
    'transaction.atomic()',
  ])
    if (!script.includes(call))
      throw new Broken(`the stand-in knows only a script that calls ${call}`)
  const data = /json\.loads\(("(?:[^"\\]|\\.)*")\)/.exec(script)?.[1]
  if (!data) throw new Broken('the stand-in finds no json.loads("…") in the script')
  const given = JSON.parse(JSON.parse(data))
  const people = Array.isArray(given) ? given : given.people
  const client = await open(context).connect()
  for (const one of people) {
    await client.query('BEGIN')
    const said = await provide(client, one)
    const works =
      !one.admin && /\.company_id = company\b/.test(script) && script.includes('work.save()')
        ? await employ(client, one, given.company)
        : ''
    await client.query('COMMIT')
    console.log(`kgc: ${one.username}: ${said}${works}`)
  }
}

async function provide(client, { username, email, password, first, last, phone, admin }) {
  const { rows } = await client.query(
    'SELECT id, is_superuser FROM horilla_auth_horillauser WHERE username = $1',
    [username],
  )
  if (admin && rows.length && !rows[0].is_superuser)
    throw new Broken(`RuntimeError: ${username} is there and no superuser`)
  const id =
    rows[0]?.id ?? (await createUser(client, { username, email, password, superuser: admin }))
  if (!admin)
    await client.query(
      `UPDATE horilla_auth_horillauser SET permissions = '{employee.view_employee}' WHERE id = $1`,
      [id],
    )
  const { rowCount } = await client.query(
    `INSERT INTO employee_employee (employee_user_id, employee_first_name, employee_last_name, email, phone) SELECT $1, $2, $3, $4, $5
     WHERE NOT EXISTS (SELECT 1 FROM employee_employee WHERE employee_user_id = $1)`,
    [id, first, last, email, phone],
  )
  await client.query(
    `INSERT INTO employee_employeeworkinformation (employee_id) SELECT id FROM employee_employee WHERE employee_user_id = $1 ON CONFLICT DO NOTHING`,
    [id],
  )
  if (!rows.length) return 'created'
  return rowCount ? 'was there, its Employee record is new' : 'was there'
}

/** The company of the script's choice. */
async function employ(client, { username }, named) {
  const mine = `employee_id = (SELECT e.id FROM employee_employee e JOIN horilla_auth_horillauser u ON u.id = e.employee_user_id WHERE u.username = $1)`
  if (
    (
      await client.query(
        `SELECT 1 FROM employee_employeeworkinformation WHERE ${mine} AND company_id IS NOT NULL`,
        [username],
      )
    ).rowCount
  )
    return ''
  const { rows: companies } = await client.query('SELECT id, company FROM base_company ORDER BY id')
  const wanted = companies.filter(({ company }) => !named || company === named)
  if (wanted.length > 1 || (companies.length && !wanted.length))
    throw new Broken(
      `RuntimeError: which company is ${username} to read? There are: ${companies.map(({ company }) => company).join(', ')}. Set HORILLA_COMPANY`,
    )
  const found =
    wanted[0] ??
    (
      await client.query('INSERT INTO base_company (company) VALUES ($1) RETURNING id, company', [
        named || 'KGC',
      ])
    ).rows[0]
  await client.query(`UPDATE employee_employeeworkinformation SET company_id = $2 WHERE ${mine}`, [
    username,
    found.id,
  ])
  return `, works in ${found.company}`
}

/** No Python here: plays the script that asks the database and nothing else. It must stand where the command says, and fail as it says. */
async function heartbeat(context) {
  const script = readFileSync(context.rest[0] ?? '', 'utf8')
  const question = /^QUESTION = """([\s\S]*?)"""/m.exec(script)?.[1]
  if (!question || !script.includes('driver.connect(os.environ["DATABASE_URL"]'))
    throw new Broken('the stand-in knows only a script with a QUESTION for the driver')
  const lenient = context.rest[1] === 'live' && script.includes('"live" in sys.argv')
  const pool = open(context)
  const verdict = await pool.query({ text: question, rowMode: 'array' }).then(
    ({ rows: [[words]] }) => words,
    error => (lenient ? null : error.message || error.code),
  )
  await pool.end()
  if (verdict !== null) throw new Broken(verdict)
}

/** Starts what runs for long. */
const lasting = work => async context => {
  await start(context)
  await work(context, open(context))
  return true
}

export const commands = {
  entrypoint,
  migrate,
  migrateCheck,
  collectstatic,
  createsuperuser,
  shell,
  heartbeat,
  web: lasting(web),
  scheduler: lasting(scheduler),
  // the image's default command: only the container itself can reach it
  runserver: lasting((context, pool) => web(context, pool, '127.0.0.1')),
}
