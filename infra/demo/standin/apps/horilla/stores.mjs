// Horilla's database and what it keeps there.
import { randomBytes, scryptSync, timingSafeEqual } from 'node:crypto'
import { openPool } from '../../lib/stores.mjs'

export const migrations = 'django_migrations'

export const steps = [
  { id: 'horilla_auth.0001_initial', sql: `CREATE TABLE horilla_auth_horillauser (id serial PRIMARY KEY, username text UNIQUE NOT NULL, email text NOT NULL, password text NOT NULL,
    is_superuser boolean NOT NULL, is_active boolean NOT NULL DEFAULT true, permissions text[] NOT NULL DEFAULT '{}')` },
  { id: 'employee.0001_initial', sql: `CREATE TABLE employee_employee (id serial PRIMARY KEY, employee_user_id integer UNIQUE REFERENCES horilla_auth_horillauser, employee_first_name text NOT NULL,
    employee_last_name text NOT NULL, email text UNIQUE NOT NULL, phone text NOT NULL, job_position_name text, employee_work_info_id serial)` },
  // the stand-in alone has people from the start, for the employee sync to find
  { id: 'employee.0002_demo', sql: `INSERT INTO employee_employee (employee_first_name, employee_last_name, email, phone, job_position_name) VALUES
    ('Anna', 'Kovács', 'anna.kovacs@kgc.localhost', '+36 1 555 0101', 'Service technician'), ('Béla', 'Szabó', 'bela.szabo@kgc.localhost', '+36 1 555 0102', 'Rental desk'),
    ('Csilla', 'Tóth', 'csilla.toth@kgc.localhost', '+36 1 555 0103', 'Warehouse')` },
  { id: 'django_apscheduler.0001_initial', sql: 'CREATE TABLE django_apscheduler_heartbeat (id integer PRIMARY KEY CHECK (id = 1), at timestamptz NOT NULL)' },
  { id: 'axes.0001_initial', sql: 'CREATE TABLE axes_accesslog (username text NOT NULL, ip_address text NOT NULL, success boolean NOT NULL, at timestamptz NOT NULL DEFAULT now())' },
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
  const { rows } = await pool.query('INSERT INTO horilla_auth_horillauser (username, email, password, is_superuser) VALUES ($1, $2, $3, $4) RETURNING id', [username, email, hash(password), superuser])
  return rows[0].id
}

/** The user of this name and password, with the attempt written down as upstream's axes does. */
export async function authenticate(pool, username, password, address) {
  const { rows } = await pool.query('SELECT * FROM horilla_auth_horillauser WHERE username = $1 AND is_active', [username ?? ''])
  const user = rows.find(row => matches(password ?? '', row.password))
  await pool.query('INSERT INTO axes_accesslog (username, ip_address, success) VALUES ($1, $2, $3)', [username ?? '', address, Boolean(user)])
  return user
}

/** Upstream's own condition: set-up is over when a superuser with an Employee record is there. */
export async function isInitialised(pool) {
  const { rows } = await pool.query('SELECT 1 FROM horilla_auth_horillauser u JOIN employee_employee e ON e.employee_user_id = u.id WHERE u.is_superuser LIMIT 1')
  return rows.length > 0
}
