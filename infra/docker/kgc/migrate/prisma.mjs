// Prisma's command line of the pinned commit, and what it says. It is in the image: nothing is fetched at run time.
import { spawnSync } from 'node:child_process'
import { schema } from './image.mjs'

const cli = process.env.KGC_PRISMA || '/kgc/node_modules/.bin/prisma'
/** No question, no colour, no look for updates. */
const quiet = {
  CI: 'true',
  NO_COLOR: '1',
  CHECKPOINT_DISABLE: '1',
  PRISMA_HIDE_UPDATE_MESSAGE: '1',
}

/** Runs it and shows what it says; `silent` does not. Out: the exit code and the words. */
export function prisma(argv, silent = false) {
  const { status, signal, error, stdout, stderr } = spawnSync(cli, argv, {
    encoding: 'utf8',
    env: { ...process.env, ...quiet },
    maxBuffer: 2 ** 26,
  })
  if (error) throw error
  const said = stdout + stderr
  if (!silent && said) process.stdout.write(said.endsWith('\n') ? said : `${said}\n`)
  return { code: signal ? 1 : status, said, stdout }
}

const of = ['--schema', schema]
export const push = () => prisma(['db', 'push', '--skip-generate', ...of])
export const deploy = () => prisma(['migrate', 'deploy', ...of])
export const markApplied = name => prisma(['migrate', 'resolve', '--applied', name, ...of])
export const markRolledBack = name => prisma(['migrate', 'resolve', '--rolled-back', name, ...of])

/** The SQL that would bring the database to the datamodel. Throws when Prisma cannot tell. */
export function difference() {
  const { code, said, stdout } = prisma(
    [
      'migrate',
      'diff',
      '--from-schema-datasource',
      schema,
      '--to-schema-datamodel',
      schema,
      '--script',
    ],
    true,
  )
  if (code !== 0) throw new Error(`prisma migrate diff ended with ${code}: ${said.trim()}`)
  return stdout
}

/** Which migration a `migrate deploy` says that the database refused, with its code, or that stands there as failed from before. */
export const failureIn = said => ({
  refused: /^Migration name: (.+)$/m.exec(said)?.[1],
  code: /^Database error code: (.+)$/m.exec(said)?.[1],
  // P3009
  stands: /^The `(.*)` migration started at .* failed/m.exec(said)?.[1],
})

/**
 * Whether a migration that the database refused, with this code, has changed nothing. Prisma sends its file as one simple query, and PostgreSQL runs that
 * as one transaction unless it holds one of these words (https://www.postgresql.org/docs/17/protocol-flow.html#PROTOCOL-FLOW-MULTI-STATEMENT). Without a
 * code, or with that of a broken connection, nobody knows how it ended.
 */
export const changedNothing = (sql, code = '') =>
  /^[0-9A-Z]{5}$/.test(code) &&
  !/^(08|57P|40003)/.test(code) &&
  sql !== undefined &&
  !ends.test(sql)
const ends =
  /(?<!\w)(begin|start|commit|end|rollback|abort|prepare|concurrently|vacuum|call|do|execute|program|dblink[a-z_]*|database|tablespace|system)(?!\w)/i
