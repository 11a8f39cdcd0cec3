// How fast a backup and a restore of a database are, beside bare pg_dump and pg_restore. What proves and
// verifies is told apart: the bare ones do neither.
import { spawn } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { say } from '../../scripts/lib/report.ts'
import type { Row } from '../bench.ts'
import { fullProject, type ComposeProject } from '../compose/project.ts'
import { load, peakMemoryOf } from './machine.ts'

const image = 'kgc-demo/postgres:17'
/** Rows of about 220 bytes on the disk that a dump makes a third of. */
const rowsOf = (megabytes: number) => Math.round(megabytes * 4500)
const fill = (rows: number) =>
  `CREATE TABLE of_bench AS SELECT n AS id, md5(n::text) || md5((n * 7)::text) || repeat('Kovács Ilona és társa ', 3) || md5((n * 13)::text) AS word, now() AS at FROM generate_series(1, ${rows}) n;
  ALTER TABLE of_bench ADD PRIMARY KEY (id)`

/** ms of the steps of a script, by name, and its peak of memory, MiB. */
interface Ran {
  steps: Map<string, number>
  peak: number
}

async function run(stack: ComposeProject, argv: string[]): Promise<Ran> {
  const script = stack.start([...argv, '--json'], { KGC_PROJECT: stack.project })
  let peak = 0
  const look = setInterval(() => (peak = Math.max(peak, peakMemoryOf(script.pid))), 100)
  const code = await script.code
  clearInterval(look)
  if (code !== 0) throw new Error(`${argv[0]} ended with ${code}: ${script.said().slice(-3000)}`)
  const done = script.events().filter(({ event, state }) => event === 'step' && state === 'done')
  return { steps: new Map(done.map(({ name, ms }) => [name, ms])), peak: Math.round(peak / 1024) }
}

/** Sees which programs a role has connected, ten times a second. Out: ms from the first to the last sight of each. */
function watchServer(stack: ComposeProject, id: string): () => Map<string, [number, number]> {
  const query = `SELECT application_name, (extract(epoch FROM clock_timestamp()) * 1000)::bigint FROM pg_stat_activity
    WHERE application_name IN ('psql', 'pg_dump', 'pg_restore') AND pid <> pg_backend_pid() \\watch 0.1`
  const argv = ['exec', '-i', id, 'psql', '-qtAX', '-U', 'postgres', '-d', 'postgres']
  const child = spawn('docker', argv, { stdio: ['pipe', 'pipe', 'ignore'] })
  child.stdin.end(`SET application_name = 'bench';\n${query}\n`)
  const seen = new Map<string, [number, number]>()
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    for (const [, name = '', at] of text.matchAll(/^(\w+)\|(\d+)$/gm))
      seen.set(name, [seen.get(name)?.[0] ?? Number(at), Number(at)])
  })
  return () => {
    child.kill()
    stack.engine(
      'exec',
      id,
      'psql',
      '-qU',
      'postgres',
      '-c',
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'bench'`,
    )
    return seen
  }
}

/** What a container beside the server does, ms. */
function bare(stack: ComposeProject, id: string, argv: string[]): number {
  const start = performance.now()
  stack.engine(
    ...['run', '--rm', '--user', '0:0', '--network', `container:${id}`, '--entrypoint', 'sh'],
    ...['--volume', `${stack.project}_bench:/backup`, image, '-ec', argv.join(' ')],
  )
  return performance.now() - start
}

/** Measures a backup and a restore of a database with so many megabytes of rows. */
export async function measureBackup(megabytes: number): Promise<Row[]> {
  const stack = fullProject('bench', 18250)
  const [key, to] = [join(stack.root, 'key'), join(stack.root, 'backups')]
  const up = stack.run(['up', 'demo', 'chatwoot-db'])
  if (up.code !== 0) throw new Error(up.stderr)
  const id = stack.container('chatwoot-db')
  const sql = (query: string, database = 'chatwoot') =>
    stack.engine('exec', id, 'psql', '-qtAXU', 'postgres', '-d', database, '-c', query)
  say(`A database with ${megabytes} MB of rows; load ${load()}`)
  sql(`SET ROLE chatwoot_owner; ${fill(rowsOf(megabytes))}`)
  sql('VACUUM ANALYZE')
  sql('CHECKPOINT')
  const recipient = stack.run(['backup', 'key', '--to', key]).stdout.trim()

  const dump = 'pg_dump -h 127.0.0.1 -U chatwoot_backup -d chatwoot -Fc -f /backup/dump'
  bare(stack, id, [dump])
  const bareDump = bare(stack, id, [dump])
  say(`  pg_dump: ${Math.round(bareDump)} ms; load ${load()}`)
  const watchedDump = watchServer(stack, id)
  const backup = await run(stack, [
    'backup',
    'demo',
    'chatwoot',
    '--to',
    to,
    '--recipient',
    recipient,
  ])
  const seenDump = watchedDump()
  const counted = seenDump.get('psql')![1] - seenDump.get('pg_dump')![1]
  const ours = backup.steps.get('Dump chatwoot')! + backup.steps.get('Store the dump of chatwoot')!
  say(
    `  backup.ts: ${[...backup.steps].map(([name, ms]) => `${name} ${ms} ms`).join(', ')}; load ${load()}`,
  )

  sql('CREATE DATABASE bare OWNER chatwoot_owner', 'postgres')
  sql(
    'CREATE EXTENSION vector; CREATE EXTENSION pg_trgm; CREATE EXTENSION pgcrypto; CREATE EXTENSION pg_stat_statements',
    'bare',
  )
  const restoreBare =
    'pg_restore -h 127.0.0.1 -U chatwoot_a -d bare --no-owner --exit-on-error --jobs 2 --use-list=/backup/list /backup/dump'
  const list = 'pg_restore --list /backup/dump | grep -v EXTENSION >/backup/list;'
  const bareRestore = bare(stack, id, [list, restoreBare])
  sql('DROP DATABASE bare', 'postgres')
  say(`  pg_restore: ${Math.round(bareRestore)} ms; load ${load()}`)
  const watchedRestore = watchServer(stack, id)
  const [name] = readdirSync(to)
  const restore = await run(stack, [
    'restore',
    join(to, name!),
    'demo',
    'chatwoot',
    '--identity',
    key,
  ])
  const [from, until] = watchedRestore().get('pg_restore')!
  say(
    `  restore.ts: ${[...restore.steps].map(([name, ms]) => `${name} ${ms} ms`).join(', ')}; load ${load()}`,
  )

  const step = (ran: Ran, name: string) => [...ran.steps].find(([one]) => one.startsWith(name))![1]
  return [
    {
      name: `dump, checksum and encryption of ${megabytes} MB / pg_dump -Fc`,
      ours: ours - counted,
      bare: bareDump,
      limit: bareDump / 0.9,
      target: 'bare / 0.9',
    },
    {
      name: 'pg_restore in a restore / pg_restore --jobs 2',
      ours: until - from,
      bare: bareRestore,
      limit: bareRestore * 1.2,
      target: '1.2 × bare',
    },
    { name: 'of the proof: rows and checksums counted in the snapshot', ours: counted },
    {
      name: 'of the proof: restored into a server of its own and compared',
      ours: step(backup, 'Prove'),
    },
    { name: 'read back', ours: step(backup, 'Read back') },
    {
      name: 'of a restore: copied, counted and compared',
      ours: step(restore, 'Restore chatwoot beside') - (until - from),
    },
    {
      name: 'backup.ts, peak memory',
      ours: backup.peak,
      unit: 'MiB',
      limit: 200,
      target: '200 MiB',
    },
    {
      name: 'restore.ts, peak memory',
      ours: restore.peak,
      unit: 'MiB',
      limit: 200,
      target: '200 MiB',
    },
  ]
}
