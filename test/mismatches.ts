// What the stand-ins once let pass and the real applications do not, numbered as in the notes of
// what was read (B, M, minor) and of what ran (real), and the tests that hold it: the stand-in
// refuses the wrong form, and the product passes.
import type { Table, Test } from './table.ts'

interface Mismatch {
  numbers: string
  /** What was wrong, in a line. */
  fault: string
  refuses: Test
  passes: Test
}

const twenty = 'unit/twenty'
const stack = 'compose/stack/stack'
const goesOn: Test = [
  stack,
  'admin makes the administrators, whatever was left half-way; a second time it changes nothing, and smoke passes',
]
const open: Test = [stack, 'with what its image brings each page is open, and smoke says so']
const documentation: Test = [
  stack,
  'what the API serves beside /api/v1 is closed on each host, however its path is written',
]
const company: Test = [
  stack,
  'the service user of Horilla sees the people of its company and of none, and without a company nobody',
]
const webhook: Test = [
  stack,
  'KGC takes what Twenty sends and understands nothing of it, and smoke says no more than that',
]
const processes: Test = [
  stack,
  'a check that looks for a process finds it, on Compose and Kubernetes, and not in the arguments of process 1',
]
const hangs: Test = [
  stack,
  'a scheduler that hangs is red, though /ready/ says ok; going on, it is green',
]
const other: Test = [
  stack,
  'the first account of Chatwoot speaks English where nobody says another language, and a scheduler that would migrate does not start',
]
const paths: Test = [
  'policy/compose',
  'Chatwoot on S3 is told where the bucket stands in an address, without which the stand-in does not start',
]
const locked: Test = [
  stack,
  'five wrong passwords lock a name from wherever it is tried, and no other name: behind one proxy Horilla finds no address',
]
const away: Test = [
  'unit/doors',
  "nobody at home is not a closed door: Traefik's own answer is an error to the checks of an application",
]
const foreign: Test = [
  'unit/horilla',
  'a foreign Host is asked of Horilla itself: Traefik would answer for it',
]

const bucket: Test = [
  'policy/compose',
  'KGC is told no bucket of an empty name, with which the stand-in does not start',
]
const server: Test = [
  'compose/images/forks',
  "Twenty's image is the server, with its version; without its target it is the all-in-one for development",
]
const community: Test = [
  'compose/images/forks',
  "Chatwoot's image is the community edition and knows its commit; as the submodule is it cannot be built",
]

const readOnly: Test = [
  'policy/compose',
  'the root file system is read-only but where an image writes to it',
]
const migration = 'compose/migration/migration'
const pushed: Test = [
  migration,
  'without migrations the datamodel is pushed, at the first start and at the second; who waits goes on then',
]

const mismatches: Mismatch[] = [
  {
    numbers: 'B1',
    fault: "KGC's API image has no migrations, and nothing of Prisma at its root",
    refuses: [
      migration,
      "the API's image has nothing of it at its root: no Prisma, no migration, no npx that works",
    ],
    passes: pushed,
  },
  {
    numbers: 'real 2',
    fault: 'a database with tables and no record of migrations is migrated by nobody (P3005)',
    refuses: [
      migration,
      'P3005: a database with tables of which nothing is recorded is not guessed at',
    ],
    passes: [
      migration,
      'the first migration of a database that was pushed is really applied, and the second, with its table and its policy',
    ],
  },
  {
    numbers: 'real 3',
    fault: 'row security is not made by a push and marks',
    refuses: [migration, 'drift is named and mended: a policy that is gone, a column that is gone'],
    passes: [
      migration,
      'on an empty database the datamodel is pushed, and all that the migrations make beyond it',
    ],
  },
  {
    numbers: 'B2',
    fault: 'Twenty makes no workspace that has no name',
    refuses: [
      twenty,
      'the stand-in makes no workspace without a name, as the server does not, whatever the schema lets through',
    ],
    passes: [
      stack,
      'the administrator of Twenty, interrupted before each of its calls and while one is under way, is gone on with',
    ],
  },
  {
    numbers: 'B2, half-way',
    fault: 'an administrator that is made by half leaves a page open',
    refuses: [
      stack,
      'until there are administrators the edge serves their applications to nobody, and smoke names what opens each',
    ],
    passes: goesOn,
  },
  {
    numbers: 'M1',
    fault: 'Twenty writes its migrations to another table, the old one never moves',
    refuses: [
      stack,
      'a newer release of Twenty moves the head that a rollback is judged by, and nothing in the table that is frozen',
    ],
    passes: [
      'cluster/rehearsal/rehearsal',
      "a first migration of KGC's is really applied, and a rollback over it or over one of Twenty is refused",
    ],
  },
  {
    numbers: 'M2, real 4',
    fault: 'Horilla refuses a service user without a company',
    refuses: company,
    passes: company,
  },
  {
    numbers: 'M3, real 9',
    fault: "KGC reads other names than those that Twenty's webhook carries",
    refuses: webhook,
    passes: webhook,
  },
  {
    numbers: 'M4, Twenty',
    fault: 'the last stage of its Dockerfile is no server',
    refuses: server,
    passes: server,
  },
  {
    numbers: 'M4, Chatwoot',
    fault: 'its Dockerfile wants a .git, and a plain checkout holds what is not MIT',
    refuses: community,
    passes: community,
  },
  {
    numbers: 'M6, real 10.3',
    fault: "the page named Admin is the developers' dashboard, open to everybody",
    refuses: open,
    passes: goesOn,
  },
  {
    numbers: 'minor 1',
    fault: 'Chatwoot puts an S3 bucket into the host name unless told otherwise',
    refuses: paths,
    passes: paths,
  },
  {
    numbers: 'minor 2',
    fault: 'a runner of Rails speaks English whatever DEFAULT_LOCALE says',
    refuses: other,
    passes: goesOn,
  },
  {
    numbers: 'minor 3, real 7',
    fault: 'Horilla says ok for ever once its scheduler has been there',
    refuses: hangs,
    passes: hangs,
  },
  {
    numbers: 'minor 4',
    fault: 'process 1 carries the words of what it starts, and `pgrep -f` finds them',
    refuses: processes,
    passes: processes,
  },
  {
    numbers: 'minor 7',
    fault: "an empty bucket's name replaces KGC's default",
    refuses: bucket,
    passes: bucket,
  },
  {
    numbers: 'minor 10',
    fault:
      'an owner of the images and of the monorepo was invented, and the real one has capitals, which no image may have',
    refuses: [
      'unit/image-owner',
      'an upper-case owner is refused with the lower-case one, as is what can be no owner; nothing is written',
    ],
    passes: [
      'unit/image-owner',
      'the command writes an owner wherever he must be named, changes him, and does nothing the second time',
    ],
  },
  {
    numbers: 'real 1',
    fault: "KGC's newest commits do not build",
    refuses: [
      'unit/build-failure',
      'the first error of the step that failed is named, with its file, whichever tool says it',
    ],
    passes: [
      'unit/build-failure',
      'the error says what failed, the few lines around it, where all of it is, and which commit was the last that built',
    ],
  },
  {
    numbers: 'real 5',
    fault: 'a lock-out is on the name alone behind one proxy',
    refuses: locked,
    passes: locked,
  },
  {
    numbers: 'real 6',
    fault: 'a scheduler by the entrypoint migrates beside the web',
    refuses: other,
    passes: [stack, 'up brings all of it up'],
  },
  {
    numbers: 'real 8',
    fault:
      'a first start of Horilla may take half an hour (no test waits so long: the limits are held)',
    refuses: [
      'policy/compose',
      'Horilla: production by its real variables, 2.1.8 or newer, the scheduler once and after the web',
    ],
    passes: ['cluster/manifests', 'Sidekiq, the scheduler and the migrations: time, number, order'],
  },
  {
    numbers: 'real 10.1',
    fault: "Traefik's 404 was taken for a closed page",
    refuses: away,
    passes: away,
  },
  {
    numbers: 'real 10.2',
    fault: 'the foreign host was refused by Traefik, Horilla was never asked',
    refuses: foreign,
    passes: foreign,
  },
  {
    numbers: 'real 10.4',
    fault: "source maps give away the pages' source",
    refuses: open,
    passes: goesOn,
  },
  { numbers: 'real 10.5', fault: 'any site may frame the pages', refuses: open, passes: goesOn },
  {
    numbers: 'real 10.6',
    fault: "the API's documentation and an old front end are public",
    refuses: documentation,
    passes: documentation,
  },
  {
    numbers: 'real 10.7',
    fault: 'the API calls itself ready on a database without a table',
    refuses: pushed,
    passes: [
      'policy/compose',
      'KGC: the API waits for its migration, which never accepts data loss, and its health check reads the body',
    ],
  },
  {
    numbers: 'real 10.9',
    fault: 'people of another company stay unseen',
    refuses: company,
    passes: company,
  },
  {
    numbers: 'real 10.10',
    fault: "the rest of Horilla's root file system was left writable",
    refuses: readOnly,
    passes: readOnly,
  },
]

export const mismatchTable: Table = {
  title:
    'What the stand-ins let pass once: the test in which they refuse it, the one in which the product passes, or both in one:',
  rows: mismatches.map(({ numbers, fault, refuses, passes }) => ({
    name: `mismatch ${numbers}`,
    fault,
    tests: refuses === passes ? [refuses] : [refuses, passes],
  })),
}
