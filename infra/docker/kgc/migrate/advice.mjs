// What stands in the way, with the command that goes on.

/** A failure in words, each way on in a line. */
export class Refused extends Error {
  constructor(why, ways) {
    super(
      [why, ...ways.map(({ when, command }) => `  ${when ? `${when}: ` : ''}${command}`)].join(
        '\nmigrate: ',
      ),
    )
  }
}

const onKubernetes = () => Boolean(process.env.KUBERNETES_SERVICE_HOST)
const sql = text =>
  `kubectl --namespace NAMESPACE exec kgc-db-0 -- psql -U postgres -d kgc -c "${text}"`
const run = (...words) =>
  `docker compose run --rm kgc-migrate ${words.join(' ')}   (infra/docker/kgc/README.md: Database)`
const own = verb => run('node', '/kgc/migrate/main.mjs', verb)
// on Kubernetes no pod with Prisma stays: a row is what a person can leave, and the next deploy reads it
const row = (checksum, how) =>
  sql(`INSERT INTO kgc_stack.schema_versions (checksum, how) VALUES ('${checksum}', '${how}')`)

/** The commands by what they do. */
export const ways = {
  keep: ({ checksum }, when) => ({
    when,
    command: onKubernetes() ? `${row(checksum, 'kept')}, and deploy again` : own('keep'),
  }),
  push: ({ checksum }, when) => ({
    when,
    command: onKubernetes() ? `${row(checksum, 'asked')}, and deploy again` : own('push'),
  }),
  /** What Prisma does for --rolled-back (mark_migration_rolled_back.rs). */
  rolledBack: name => ({
    when: `look at what ${name} left behind, then`,
    command: onKubernetes()
      ? sql(
          `UPDATE _prisma_migrations SET rolled_back_at = now() WHERE migration_name = '${name}' AND finished_at IS NULL AND rolled_back_at IS NULL`,
        )
      : run(
          'node',
          '/kgc/migrate/main.mjs',
          'prisma',
          'migrate',
          'resolve',
          '--rolled-back',
          name,
          '--schema',
          '/kgc/prisma/schema.prisma',
        ),
  }),
  newer: {
    when: 'or',
    command: 'put a newer commit in its place (KGC_REF), or restore a backup of that time',
  },
}
