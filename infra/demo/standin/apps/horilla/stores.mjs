// Horilla's database and what it keeps there.
import { randomBytes, scryptSync, timingSafeEqual } from 'node:crypto'
import { openPool } from '../../lib/stores.mjs'

export const migrations = 'django_migrations'

export const steps = [
  {
    id: 'horilla_auth.0001_initial',
    sql: `CREATE TABLE horilla_auth_horillauser (id serial PRIMARY KEY, username text UNIQUE NOT NULL, email text NOT NULL, password text NOT NULL,
    is_superuser boolean NOT NULL, is_active boolean NOT NULL DEFAULT true, permissions text[] NOT NULL DEFAULT '{}')`,
  },
  {
    id: 'employee.0001_initial',
    sql: `CREATE TABLE employee_employee (id serial PRIMARY KEY, employee_user_id integer UNIQUE REFERENCES horilla_auth_horillauser, employee_first_name text NOT NULL,
    employee_last_name text NOT NULL, email text UNIQUE NOT NULL, phone text NOT NULL, job_position_name text, employee_work_info_id serial)`,
  },
  // the stand-in alone has people from the start, for the employee sync to find
  {
    id: 'employee.0002_demo',
    sql: `INSERT INTO employee_employee (employee_first_name, employee_last_name, email, phone, job_position_name) VALUES
    ('Anna', 'Kovács', 'anna.kovacs@kgc.localhost', '+36 1 555 0101', 'Service technician'), ('Béla', 'Szabó', 'bela.szabo@kgc.localhost', '+36 1 555 0102', 'Rental desk'),
    ('Csilla', 'Tóth', 'csilla.toth@kgc.localhost', '+36 1 555 0103', 'Warehouse')`,
  },
  // a person's company stands in the work information, which Employee.save() makes without one (employee/models.py)
  {
    id: 'base.0001_initial',
    sql: `CREATE TABLE base_company (id serial PRIMARY KEY, company text NOT NULL);
    CREATE TABLE employee_employeeworkinformation (id serial PRIMARY KEY, employee_id integer UNIQUE REFERENCES employee_employee, company_id integer REFERENCES base_company)`,
  },
  // django_apscheduler's own table
  {
    id: 'django_apscheduler.0001_initial',
    sql: 'CREATE TABLE django_apscheduler_djangojob (id varchar(255) PRIMARY KEY, next_run_time timestamptz, job_state bytea NOT NULL)',
  },
  {
    id: 'axes.0001_initial',
    sql: 'CREATE TABLE axes_accesslog (username text NOT NULL, ip_address text, success boolean NOT NULL, at timestamptz NOT NULL DEFAULT now())',
  },
]

export const open = ({ env, log }) => openPool({ connectionString: env.DATABASE_URL }, log)

function hash(password, salt = randomBytes(12).toString('hex')) {
  return `scrypt$${salt}$${scryptSync(password, salt, 32).toString('hex')}`
}

function matches(password, stored) {
  return timingSafeEqual(Buffer.from(hash(password, stored.split('$')[1])), Buffer.from(stored))
}

/** @returns {Promise<number>} its id */
export async function createUser(pool, { username, email, password, superuser }) {
  const { rows } = await pool.query(
    'INSERT INTO horilla_auth_horillauser (username, email, password, is_superuser) VALUES ($1, $2, $3, $4) RETURNING id',
    [username, email, hash(password), superuser],
  )
  return rows[0].id
}

/**
 * The user of this name and password. django-axes: five wrong ones lock the name and the address together for half an hour, the right
 * password then fails as well; an address that is not known is the same for everybody (horilla/settings: AXES_LOCKOUT_PARAMETERS).
 */
export async function authenticate(pool, username = '', password = '', address = null) {
  const {
    rows: [{ wrong }],
  } = await pool.query(
    `SELECT count(*)::int AS wrong FROM axes_accesslog a WHERE username = $1 AND ip_address IS NOT DISTINCT FROM $2 AND NOT success AND at > now() - interval '30 min'
     AND NOT EXISTS (SELECT 1 FROM axes_accesslog b WHERE b.username = $1 AND b.ip_address IS NOT DISTINCT FROM $2 AND b.success AND b.at > a.at)`,
    [username, address],
  )
  const { rows } = await pool.query(
    'SELECT * FROM horilla_auth_horillauser WHERE username = $1 AND is_active',
    [username],
  )
  const user = wrong < 5 ? rows.find(row => matches(password, row.password)) : undefined
  await pool.query(
    'INSERT INTO axes_accesslog (username, ip_address, success) VALUES ($1, $2, $3)',
    [username, address, Boolean(user)],
  )
  return user
}

/** The company that a user works in (horilla_api/authentication.py, resolve_company_id); undefined without one. */
export async function companyOf(pool, userId) {
  const sql =
    'SELECT w.company_id FROM employee_employeeworkinformation w JOIN employee_employee e ON e.id = w.employee_id WHERE e.employee_user_id = $1'
  return (await pool.query(sql, [userId])).rows[0]?.company_id ?? undefined
}

/** Upstream's own condition: set-up is over when a superuser with an Employee record is there. */
export async function isInitialised(pool) {
  const { rows } = await pool.query(
    'SELECT 1 FROM horilla_auth_horillauser u JOIN employee_employee e ON e.employee_user_id = u.id WHERE u.is_superuser LIMIT 1',
  )
  return rows.length > 0
}
