import { execFileSync, spawnSync } from 'node:child_process'
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { parse } from 'dotenv'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { checkEnvFiles } from '../../scripts/lib/env/check.ts'
import { validateEnvValue } from '../../scripts/lib/env/value.ts'
import { isEnvFileChanged, planEnvFiles, writeEnvFiles } from '../../scripts/lib/env/write.ts'
import { findEnvFiles, loadEnvValues, readEnvFile } from '../../scripts/lib/env/files.ts'
import { Failure } from '../../scripts/lib/errors.ts'
import { valueAlphabet, parseExample, generateValue } from '../../scripts/lib/env/example.ts'
import { redact } from '../../scripts/lib/redact.ts'
import { inProcess } from '../one-process.ts'
import { readTypeScript } from '../node.ts'

const test = suite('env')
const repository = join(import.meta.dirname, '../..')

const examples = {
  '.env.example': `# Everything. A free comment.

# The domain.
#@ required shared format=host demo=shop.localhost
DOMAIN=shop.hu
#@ required shared format=port demo=8443
HTTPS_PORT=443
#@ format=email
ACME_EMAIL=
# Mail.
#@ shared format=host with=MAIL_FROM
SMTP_HOST=
#@ shared format=port
SMTP_PORT=587
#@ shared with=SMTP_PASSWORD
SMTP_USERNAME=
#@ shared secret format=any
SMTP_PASSWORD=
#@ shared format=email
MAIL_FROM=
#@ shared required secret generate=hex:16 min=32
COMMON_SECRET=
`,
  'infra/docker/blue/.env.example': `#@ shared required format=host
DOMAIN=shop.hu
#@ shared secret format=any
SMTP_PASSWORD=
#@ shared required secret
COMMON_SECRET=
#@ format=port
BLUE_PORT=3001
#@ required secret generate=hex:24 min=24
BLUE_DB_PASSWORD=
#@ required secret keep generate=base64:32 min=44 format=base64
BLUE_KEY=
#@ secret
BLUE_OLD_KEY=
#@ oneof=debug|info
BLUE_LOG_LEVEL=info
#@ pinned format=hex
BLUE_REF=abc123
`,
  'infra/docker/red-shop/.env.example': `#@ shared required format=host
DOMAIN=shop.hu
#@ format=port
RED_PORT=3002
#@ required secret generate=alnum:32 min=32 format=alnum
RED_SECRET=
#@ required secret generate=hex:24 min=20
RED_DB_PASSWORD=
#@ secret generate=uuid format=uuid
RED_ID=
#@ format=int min=5 max=60
RED_MINUTES=15
#@ format=origin
RED_ORIGIN=https://a.shop.hu
#@ format=origins
RED_ORIGINS=https://a.shop.hu,https://b.shop.hu:8443
#@ format=hosts
RED_HOSTS=a.shop.hu,localhost,127.0.0.1
#@ format=url
RED_URL=https://a.shop.hu/path
#@ format=bool
RED_FLAG=true
#@ format=duration
RED_WAIT=30s
#@ format=time-zone
RED_TZ=Europe/Budapest
#@ format=port-suffix
RED_URL_PORT=
#@ format=domain
RED_DOMAIN=shop.hu
#@ max=8
RED_SHORT=
#@ secret
RED_TOKEN=
#@ with=RED_TOKEN
RED_USER=
#@ oneof=log|smtp with=smtp:RED_TOKEN
RED_MAIL=log
`,
}

const base = mkdtempSync(join(tmpdir(), 'kgc-env-'))
process.once('exit', () => rmSync(base, { recursive: true, force: true }))

/** A tree with the examples alone; `files` are laid over it. */
function tree(files: Record<string, string> = {}): string {
  const root = mkdtempSync(join(base, 'tree-'))
  for (const [path, text] of Object.entries({ ...examples, ...files })) put(root, path, text)
  return root
}

function put(root: string, path: string, text: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true })
  writeFileSync(join(root, path), text, { mode: path.endsWith('example') ? 0o644 : 0o600 })
}

const generated = (root: string, name = '') => {
  const list = planEnvFiles(findEnvFiles(root, name))
  writeEnvFiles(list)
  return list
}
const [top, blue, red] = [
  'infra/docker/.env',
  'infra/docker/blue/.env',
  'infra/docker/red-shop/.env',
] as const
const read = (root: string, path: string) => readFileSync(join(root, path), 'utf8')
const set = (root: string, path: string, key: string, value: string) =>
  put(
    root,
    path,
    read(root, path).replace(new RegExp(`^${key}=.*$`, 'm'), () => `${key}=${value}`),
  )
const failure = (work: () => unknown): Failure => {
  try {
    work()
  } catch (error) {
    if (error instanceof Failure) return error
    throw error
  }
  throw new Error('nothing was thrown')
}
const everything = (root: string) => [top, blue, red].map(path => read(root, path)).join()

test('an example is described by its attributes', () => {
  const [one, two] = parseExample(
    '# Free.\n\n# What.\n#@ required secret generate=hex:3 min=2 oneof=a|b with=B|a:C demo=x\nA=\n#@ pinned\nB=1\n',
  )
  assert.equal(one, {
    key: 'A',
    value: '',
    comment: ['# What.'],
    gap: true,
    required: true,
    secret: true,
    shared: false,
    pinned: false,
    keep: false,
    generate: 'hex:3',
    min: 2,
    oneof: ['a', 'b'],
    with: [{ key: 'B' }, { value: 'a', key: 'C' }],
    environments: { demo: 'x' },
  })
  assert.equal([two?.key, two?.value, two?.pinned, two?.gap], ['B', '1', true, false])
})

for (const [why, text] of [
  ['neither a comment', 'a=1'],
  ['twice', 'A=\nA='],
  ['unknown attribute', '#@ requird\nA='],
  ['unknown attribute', '#@ secret=1\nA='],
  ['unknown format', '#@ format=ip\nA='],
  ['unknown generate', '#@ generate=hex\nA='],
  ['not directly above', '#@ secret\n# words\nA='],
  ['not directly above', '#@ secret\n\nA='],
  ['character outside', 'A=b c'],
  ['wants a number', '#@ min=x\nA='],
] as const)
  test(`an example is refused: ${JSON.stringify(text)}`, () =>
    assert.match(failure(() => parseExample(text)).why, why))

test('ToolJet/ToolJet#3331, plastic-labs/honcho#1017: git writes no CRLF, and an example that has some is named so', () => {
  const files = execFileSync('git', ['ls-files', '-z'], { cwd: repository, encoding: 'utf8' })
  const said = execFileSync('git', ['check-attr', '-z', '--stdin', 'eol'], {
    cwd: repository,
    input: files,
    encoding: 'utf8',
  }).split('\0')
  assert.equal([...new Set(said.filter((_, i) => i % 3 === 2))], ['lf'])
  const { why, next } = failure(() => parseExample('A=\r\nB=\r\n', 'a/.env.example'))
  assert.match(why, 'Windows line ends')
  assert.match(next ?? '', 'a/.env.example')
})

test('generated values have their form and never repeat', () => {
  for (const [how, form] of [
    ['hex:24', /^[\da-f]{48}$/],
    ['base64:32', /^[A-Za-z0-9+/]{43}=$/],
    ['alnum:32', /^[A-Za-z0-9]{32}$/],
    ['uuid', /^[\da-f-]{36}$/],
  ] as const) {
    assert.match(generateValue(how), form)
    assert.is(new Set(Array.from({ length: 100 }, () => generateValue(how))).size, 100)
  }
})

test('writes every file, 0600, with its comments; a second run has nothing to do', () => {
  const root = tree()
  const list = generated(root)
  assert.equal(
    list.map(({ file, before }) => [file.name, before]),
    [
      [top, undefined],
      [blue, undefined],
      [red, undefined],
    ],
  )
  for (const path of [top, blue, red]) assert.is(statSync(join(root, path)).mode & 0o777, 0o600)
  assert.match(read(root, top), '# The domain.\nDOMAIN=shop.hu\nHTTPS_PORT=443\n')
  assert.not.match(read(root, top), 'free comment')
  assert.not.match(everything(root), '#@')
  assert.match(readEnvFile(join(root, blue)).BLUE_DB_PASSWORD ?? '', /^[\da-f]{48}$/)
  assert.equal(readdirSync(join(root, 'infra/docker/blue')), ['.env', '.env.example'])
  assert.equal(checkEnvFiles(root), [])
  const before = everything(root)
  assert.equal(planEnvFiles(findEnvFiles(root)).filter(isEnvFileChanged), [])
  generated(root)
  assert.is(everything(root), before)
})

test('another environment has files, defaults and secrets of its own', () => {
  const root = tree()
  generated(root)
  generated(root, 'demo')
  const demo = readEnvFile(join(root, `${top}.demo`))
  assert.equal(
    [demo.DOMAIN, demo.HTTPS_PORT, demo.KGC_ENV_SUFFIX],
    ['shop.localhost', '8443', '.demo'],
  )
  assert.is(readEnvFile(join(root, `${blue}.demo`)).DOMAIN, 'shop.localhost')
  assert.is(readEnvFile(join(root, top)).KGC_ENV_SUFFIX, undefined)
  assert.is.not(
    readEnvFile(join(root, `${blue}.demo`)).BLUE_KEY,
    readEnvFile(join(root, blue)).BLUE_KEY,
  )
  assert.equal([checkEnvFiles(root), checkEnvFiles(root, 'demo')], [[], []])
  assert.equal(planEnvFiles(findEnvFiles(root, 'demo')).filter(isEnvFileChanged), [])
  set(root, `${top}.demo`, 'KGC_ENV_SUFFIX', '')
  assert.equal(
    checkEnvFiles(root, 'demo').map(({ key }) => key),
    ['KGC_ENV_SUFFIX'],
  )
  generated(root, 'demo')
  assert.is(readEnvFile(join(root, `${top}.demo`)).KGC_ENV_SUFFIX, '.demo')
})

test('dev and prod mean the own stack; names that would hit an example are refused', () => {
  const root = tree()
  assert.equal(
    ['dev', 'prod', ''].map(name => findEnvFiles(root, name).suffix),
    ['', '', ''],
  )
  for (const name of ['example', 'Demo', '../x', 'a.b', '-x'])
    assert.is(failure(() => findEnvFiles(root, name)).code, 2)
})

test('keeps what is there: values, own comments, order, emptied defaults', () => {
  const root = tree()
  generated(root)
  const secret = readEnvFile(join(root, blue)).BLUE_KEY
  set(root, blue, 'BLUE_PORT', '4001')
  set(root, blue, 'BLUE_LOG_LEVEL', '')
  put(root, blue, `# rotated by Anna\n# BLUE_KEY=older\n${read(root, blue)}`)
  const before = read(root, blue)
  generated(root)
  assert.is(read(root, blue), before)
  assert.equal(
    [readEnvFile(join(root, blue)).BLUE_KEY, readEnvFile(join(root, blue)).BLUE_PORT],
    [secret, '4001'],
  )
})

test('adds the keys of a newer example after their neighbours, an emptied secret is made anew', () => {
  const root = tree()
  generated(root)
  const { BLUE_KEY } = readEnvFile(join(root, blue))
  put(root, blue, read(root, blue).replace(/^BLUE_PORT.*\n/m, ''))
  set(root, blue, 'BLUE_DB_PASSWORD', '')
  put(
    root,
    'infra/docker/blue/.env.example',
    `${examples['infra/docker/blue/.env.example']}# New.\n#@ secret generate=hex:8\nBLUE_NEW=\n`,
  )
  const change = generated(root).find(({ file }) => file.folder === 'blue')
  assert.equal(change?.added, ['BLUE_PORT', 'BLUE_NEW'])
  assert.match(read(root, blue), /COMMON_SECRET=.*\nBLUE_PORT=3001\n/)
  assert.match(read(root, blue), /\n\n# New\.\nBLUE_NEW=[\da-f]{16}\n$/)
  assert.match(readEnvFile(join(root, blue)).BLUE_DB_PASSWORD ?? '', /^[\da-f]{48}$/)
  assert.is(readEnvFile(join(root, blue)).BLUE_KEY, BLUE_KEY)
})

test('a key that stored data needs is made once: emptied, it is asked for; a line that is not there is a new key', () => {
  const root = tree()
  generated(root)
  const first = read(root, blue)
  set(root, blue, 'BLUE_KEY', '')
  const { why, next } = failure(() => generated(root))
  assert.match(why, /BLUE_KEY is empty/)
  assert.match(next ?? '', /backup/)
  assert.match(checkEnvFiles(root).find(({ key }) => key === 'BLUE_KEY')?.remedy ?? '', /backup/)
  put(root, blue, first.replace(/^BLUE_KEY=.*\n/m, ''))
  generated(root)
  assert.match(read(root, blue), /^BLUE_KEY=\S{44}$/m)
})

test('what the example no longer has is kept in a last section, once', () => {
  const root = tree()
  generated(root)
  put(root, blue, `BLUE_GONE=precious\n${read(root, blue)}`)
  const change = generated(root).find(({ file }) => file.folder === 'blue')
  assert.equal(change?.unknown, ['BLUE_GONE'])
  assert.match(
    read(root, blue),
    /BLUE_REF=abc123\n\n# No longer in the example.*\nBLUE_GONE=precious\n$/,
  )
  const before = read(root, blue)
  generated(root)
  assert.is(read(root, blue), before)
  put(root, blue, `${before}BLUE_TOO=2\n`)
  put(
    root,
    'infra/docker/blue/.env.example',
    `${examples['infra/docker/blue/.env.example']}BLUE_NEW=1\n`,
  )
  generated(root)
  assert.match(read(root, blue), /BLUE_NEW=1\n\n# No longer.*\nBLUE_GONE=precious\nBLUE_TOO=2\n$/)
})

test('shared values follow the root file, pinned ones the example', () => {
  const root = tree()
  generated(root)
  set(root, top, 'DOMAIN', 'other.hu')
  set(root, blue, 'BLUE_REF', 'fff')
  const list = generated(root)
  assert.equal(
    list.map(({ followed }) => followed),
    [[], ['DOMAIN', 'BLUE_REF'], ['DOMAIN']],
  )
  assert.equal(
    [
      readEnvFile(join(root, blue)).DOMAIN,
      readEnvFile(join(root, red)).DOMAIN,
      readEnvFile(join(root, blue)).BLUE_REF,
    ],
    ['other.hu', 'other.hu', 'abc123'],
  )
})

test('a lost root file takes its shared values back from the folders, unless they disagree', () => {
  const root = tree()
  generated(root)
  set(root, top, 'DOMAIN', 'mine.hu')
  generated(root)
  rmSync(join(root, top))
  generated(root)
  assert.is(readEnvFile(join(root, top)).DOMAIN, 'mine.hu')
  rmSync(join(root, top))
  set(root, blue, 'DOMAIN', 'else.hu')
  assert.match(failure(() => planEnvFiles(findEnvFiles(root))).why, 'DOMAIN')
})

test('a shared key that the root example lacks is an error of the example', () => {
  const root = tree({ 'infra/docker/blue/.env.example': '#@ shared\nNOWHERE=\n' })
  assert.match(failure(() => findEnvFiles(root)).why, 'NOWHERE')
})

for (const [what, text] of [
  ['quotes', 'BLUE_DB_PASSWORD="hunter22hunter"'],
  ['CRLF', 'BLUE_PORT=3001\r'],
  ['NUL', 'BLUE_PORT=30\u000001'],
  ['a duplicate', 'BLUE_PORT=1\nBLUE_PORT=2'],
  ['a dollar', 'BLUE_DB_PASSWORD=a$hunter22'],
  ['export', 'export BLUE_PORT=3001'],
  ['a value over two lines', "BLUE_KEY='hunter22\nMIIEhunter22=='"],
  ['a space before =', 'BLUE_PORT =3001'],
  ['words', 'hunter22'],
] as const)
  test(`unclear input changes nothing: ${what}`, () => {
    const root = tree({ [blue]: `${text}\n` })
    const error = failure(() => generated(root))
    assert.is(error.code, 2)
    assert.match(`${error.evidence}`, blue)
    assert.not.match(`${error.message}${error.evidence}${error.next}`, 'hunter22')
    assert.equal(readdirSync(join(root, 'infra/docker')), ['blue', 'red-shop'])
    assert.is(read(root, blue), `${text}\n`)
  })

test('a symbolic link and an unreadable file are refused by name, and nothing is written', () => {
  for (const spoil of [
    (path: string) => symlinkSync('/dev/null', path),
    (path: string) => mkdirSync(path),
  ]) {
    const root = tree()
    spoil(join(root, red))
    const error = failure(() => generated(root))
    assert.is(error.code, 2)
    assert.match(error.what, 'red-shop/.env')
    assert.match(error.why, /symbolic link|cannot be read/)
    assert.equal(checkEnvFiles(root).filter(({ file }) => file === red).length, 1)
    assert.equal(readdirSync(join(root, 'infra/docker')), ['blue', 'red-shop'])
  }
})

test('a file that changed since it was read is left alone, and no temporary file stays', () => {
  const root = tree()
  const list = planEnvFiles(findEnvFiles(root))
  put(root, red, 'RED_PORT=9\n')
  assert.is(failure(() => writeEnvFiles(list)).code, 4)
  assert.is(read(root, red), 'RED_PORT=9\n')
  assert.equal(readdirSync(join(root, 'infra/docker/red-shop')), ['.env', '.env.example'])
})

test('a mode that lets others read is mended though the text is right', () => {
  const root = tree()
  generated(root)
  chmodSync(join(root, blue), 0o644)
  generated(root)
  assert.is(statSync(join(root, blue)).mode & 0o777, 0o600)
})

test('loadEnvironment merges, the root file winning, and hides the secrets', () => {
  const root = tree()
  generated(root)
  for (const path of [blue, red]) set(root, path, 'DOMAIN', 'stale.hu')
  const values = loadEnvValues(root)
  assert.equal([values.DOMAIN, values.RED_PORT], ['shop.hu', '3002'])
  assert.is(redact(`x${values.BLUE_DB_PASSWORD}x`), 'x[secret]x')
  assert.is(redact('shop.hu'), 'shop.hu')
  rmSync(join(root, red))
  assert.is(failure(() => loadEnvValues(root)).code, 2)
})

/**
 * What is wrong, in which file, at which key, how it is spoilt, what the check says. A string as
 * spoiling is the value.
 */
const bad: [string, string, string | ((root: string) => void), RegExp][] = [
  [top, '', root => rmSync(join(root, top)), /is missing/],
  [red, '', root => rmSync(join(root, red)), /is missing/],
  [blue, '', root => chmodSync(join(root, blue), 0o640), /readable by other users/],
  [blue, '', root => chmodSync(join(root, blue), 0o604), /readable by other users/],
  [
    blue,
    '',
    root => {
      rmSync(join(root, blue))
      symlinkSync('../.env', join(root, blue))
    },
    /symbolic link/,
  ],
  [
    blue,
    '',
    root => {
      rmSync(join(root, blue))
      mkdirSync(join(root, blue))
    },
    /cannot be read/,
  ],
  [blue, '', root => put(root, blue, read(root, blue).replaceAll('\n', '\r\n')), /CRLF/],
  [blue, '', root => put(root, blue, read(root, blue).replace('info', 'in\0fo')), /NUL/],
  [blue, '', root => put(root, blue, `\uFEFF${read(root, blue)}`), /byte order mark/],
  [
    blue,
    '',
    root => put(root, blue, `${read(root, blue)}hunter22 hunter22\n`),
    /neither a comment/,
  ],
  [
    blue,
    'BLUE_PORT',
    root => put(root, blue, read(root, blue).replace('BLUE_PORT=', 'export BLUE_PORT=')),
    /neither a comment/,
  ],
  [
    blue,
    'BLUE_PORT',
    root => put(root, blue, read(root, blue).replace('BLUE_PORT=', 'BLUE_PORT =')),
    /neither a comment/,
  ],
  [
    blue,
    'BLUE_PORT',
    root => put(root, blue, `${read(root, blue)}BLUE_PORT=3009\n`),
    /lines \d+ and \d+/,
  ],
  [
    blue,
    'BLUE_KEY',
    root => put(root, blue, read(root, blue).replace(/^BLUE_KEY=.*\n/m, '')),
    /is missing/,
  ],
  [
    blue,
    'BLUE_EXTRA',
    root => put(root, blue, `${read(root, blue)}BLUE_EXTRA=hunter22\n`),
    /unknown/,
  ],
  [
    top,
    'KGC_ENV_SUFFIX',
    root => put(root, top, `${read(root, top)}KGC_ENV_SUFFIX=.demo\n`),
    /unknown/,
  ],
  [top, 'DOMAIN', '', /required and empty/],
  [red, 'RED_SECRET', '', /required and empty/],
  [top, 'DOMAIN', 'https://shop.hu', /format/],
  [top, 'DOMAIN', 'shop.hu:8443', /format/],
  [top, 'DOMAIN', 'shop.hu/', /format/],
  [top, 'DOMAIN', 'sh_op.hu', /format/],
  [top, 'DOMAIN', 'shop..hu', /format/],
  [top, 'DOMAIN', 'example.com', /placeholder/],
  [top, 'DOMAIN', 'your-domain.com', /placeholder/],
  [top, 'DOMAIN', '<your domain>', /placeholder/],
  [top, 'HTTPS_PORT', '0', /format/],
  [top, 'HTTPS_PORT', '65536', /format/],
  [top, 'HTTPS_PORT', '44x', /format/],
  [top, 'HTTPS_PORT', '-443', /format/],
  [red, 'RED_PORT', '3001', /also the port of/],
  [blue, 'BLUE_PORT', '443', /also the port of/],
  [top, 'ACME_EMAIL', 'anna.shop.hu', /format/],
  [top, 'ACME_EMAIL', 'anna@shop@hu', /format/],
  [top, 'ACME_EMAIL', 'anna@', /format/],
  [top, 'ACME_EMAIL', 'me@example.org', /placeholder/],
  [top, 'SMTP_HOST', 'mail.shop.hu', /MAIL_FROM is not/],
  [red, 'RED_USER', 'anna', /RED_TOKEN is not/],
  [red, 'RED_MAIL', 'smtp', /is smtp, but RED_TOKEN is empty/],
  [top, 'SMTP_PASSWORD', 'changeme', /placeholder/],
  [top, 'SMTP_PASSWORD', 'change_me_now', /placeholder/],
  [blue, 'BLUE_DB_PASSWORD', 'xxxx', /placeholder/],
  [blue, 'BLUE_DB_PASSWORD', 'TODO', /placeholder/],
  [blue, 'BLUE_DB_PASSWORD', 'your-database-pw', /placeholder/],
  [blue, 'BLUE_DB_PASSWORD', 'password', /placeholder/],
  [blue, 'BLUE_DB_PASSWORD', 'MyPassword123', /placeholder/],
  [blue, 'BLUE_DB_PASSWORD', 'my-example-value', /placeholder/],
  [blue, 'BLUE_DB_PASSWORD', '<hunter22>', /placeholder/],
  [red, 'RED_SECRET', 'replace_me_with_a_random_string', /placeholder/],
  [red, 'RED_SECRET', 'replace_with_lengthy_secure_hex', /placeholder/],
  [blue, 'BLUE_DB_PASSWORD', 'postgres', /known default/],
  [blue, 'BLUE_DB_PASSWORD', 'admin', /known default/],
  [blue, 'BLUE_DB_PASSWORD', 'minioadmin', /known default/],
  [blue, 'BLUE_DB_PASSWORD', 'letmein1', /known default/],
  [blue, 'BLUE_DB_PASSWORD', 'super-secret-jwt-key-2024', /known default/],
  [red, 'RED_TOKEN', 'django-insecure-7h2kq9v4m1xw', /placeholder|known default/],
  [red, 'RED_TOKEN', 'd3f6a5b9-91b7-4c44-8d5e-0a7c1f2e9b38', /known default/],
  [red, 'RED_DB_PASSWORD', 'shop', /known default/],
  [red, 'RED_DB_PASSWORD', 'red_dev', /known default/],
  [blue, 'BLUE_DB_PASSWORD', 'k3n8v0q1', /too short/],
  [blue, 'BLUE_KEY', 'dG9vIHNob3J0IGtleQ==', /too short/],
  [blue, 'BLUE_KEY', 'QmFzZTY0IHdpdGhvdXQgaXRzIGVuZCBvciB3aXRoIGFub3RoZXI', /base64/],
  [red, 'RED_SECRET', 'k3n8v0q1-z7m2x5c9-b4l6j1h0-g8f3d7s2', /letters and digits only/],
  [red, 'RED_ID', '7b1d1e0c-1111-4222-8333', /UUID/],
  [red, 'RED_MINUTES', '4', /too small/],
  [red, 'RED_MINUTES', '61', /too large/],
  [red, 'RED_MINUTES', '1.5', /whole number/],
  [red, 'RED_SHORT', 'k3n8v0q1z', /too long/],
  [red, 'RED_FLAG', 'yes', /true or false/],
  [red, 'RED_WAIT', '30sec', /format/],
  // stoatchat/self-hosted#278, corsfix/corsfix#58: the port runs into the host's name
  [red, 'RED_URL_PORT', '8443', /a colon and a port/],
  [red, 'RED_URL_PORT', ':0', /a colon and a port/],
  [red, 'RED_URL_PORT', ':8443/', /a colon and a port/],
  // inventree/InvenTree#6768, Screenly/Anthias#3010: one refuses to start, another takes GMT
  [red, 'RED_TZ', 'Europe/Budapset', /time zone/],
  [red, 'RED_TZ', 'CET+1', /time zone/],
  [red, 'RED_TZ', 'europe/budapest', /time zone/],
  [red, 'RED_TZ', '+01:00', /time zone/],
  [red, 'RED_TZ', 'Local', /time zone/],
  // ckulka/baikal-docker#28: no authority signs an address
  [red, 'RED_DOMAIN', '203.0.113.5', /domain name alone/],
  // onetimesecret/onetimesecret#760
  [top, 'SMTP_USERNAME', 'crm', /SMTP_PASSWORD is not/],
  [red, 'RED_ORIGIN', 'https://a.shop.hu/', /no slash/],
  [red, 'RED_ORIGIN', 'ws://a.shop.hu', /format/],
  [red, 'RED_ORIGIN', 'a.shop.hu', /format/],
  [red, 'RED_ORIGIN', 'https://a.shop.hu/crm', /format/],
  [red, 'RED_ORIGINS', 'https://a.shop.hu,b.shop.hu', /format/],
  [red, 'RED_HOSTS', 'a.shop.hu,https://b.shop.hu', /format/],
  [red, 'RED_URL', 'ftp://a.shop.hu', /format/],
  [red, 'RED_URL', '//a.shop.hu', /format/],
  [blue, 'BLUE_LOG_LEVEL', 'verbose', /not an allowed value/],
  [blue, 'BLUE_REF', 'def456', /pins/],
  [blue, 'DOMAIN', 'stale.hu', /differs from the shared value in infra\/docker\/\.env/],
  [red, 'RED_DB_PASSWORD', 'k3n8v0q1+z7m2x5c9/b4l6', /not allowed in the address/],
  [red, 'RED_DB_PASSWORD', 'k3n8v0q1@z7m2x5c9:b4l6', /not allowed in the address/],
  [red, 'RED_DB_PASSWORD', 'k3n8v0q1 z7m2x5c9', /character/],
  [red, 'RED_DB_PASSWORD', '"k3n8v0q1z7m2x5c9b4l6"', /character/],
  [red, 'RED_DB_PASSWORD', "'k3n8v0q1z7m2x5c9b4l6'", /character/],
  [red, 'RED_DB_PASSWORD', 'k3n8v0q1#z7m2x5c9b4l6', /character/],
  [red, 'RED_DB_PASSWORD', 'k3n8v0q1$z7m2x5c9b4l6', /character/],
  [red, 'RED_DB_PASSWORD', 'k3n8v0q1z7m2x5c9b4l6é', /character/],
  [red, 'RED_DB_PASSWORD', 'k3n8v0q1z7m2x5c9b4l6 # note', /character/],
  [red, 'RED_DB_PASSWORD', 'aaaaaaaaaaaaaaaaaaaaaaaa', /guessed/],
  [red, 'RED_DB_PASSWORD', 'k3n8v0q1z7k3n8v0q1z7', /guessed/],
  [red, 'RED_DB_PASSWORD', '01234567890123456789', /guessed/],
  [red, 'RED_DB_PASSWORD', 'abcdefghijklmnopqrstuv', /guessed/],
  [
    red,
    'RED_DB_PASSWORD',
    root => set(root, red, 'RED_DB_PASSWORD', readEnvFile(join(root, blue)).BLUE_DB_PASSWORD ?? ''),
    /same as BLUE_DB_PASSWORD in infra\/docker\/blue/,
  ],
  [
    blue,
    'BLUE_DB_PASSWORD',
    root => {
      set(root, top, 'SMTP_PASSWORD', readEnvFile(join(root, blue)).BLUE_DB_PASSWORD ?? '')
      generated(root)
    },
    /same as SMTP_PASSWORD in infra\/docker\/\.env/,
  ],
]

test('every one of the bad inputs is named by file, key and remedy, without a value, and nothing is written', () => {
  assert.ok(bad.length >= 40)
  const root = tree()
  generated(root)
  const good = [top, blue, red].map(path => [path, read(root, path)] as const)
  for (const [file, key, spoil, words] of bad) {
    const name = `${file} ${key} ${typeof spoil === 'string' ? spoil : words}`
    for (const [path, text] of good) {
      rmSync(join(root, path), { recursive: true, force: true })
      put(root, path, text)
    }
    if (typeof spoil === 'string') set(root, file, key, spoil)
    else spoil(root)
    const before = statSync(join(root, 'infra/docker')).mtimeMs
    const found = checkEnvFiles(root)
    const text = JSON.stringify(found)
    const hit = found.find(one => one.file === file && one.key === key && words.test(one.problem))
    assert.ok(hit?.remedy, `${name}: ${text}`)
    if (typeof spoil === 'string' && spoil.length > 4)
      assert.not.ok(
        text.includes(JSON.stringify(spoil).slice(1, -1)),
        `${name}: the value is in ${text}`,
      )
    assert.not.match(text, 'hunter22')
    for (const [, content] of good)
      for (const secret of Object.entries(parse(content))
        .filter(([name, value]) => /PASSWORD|SECRET|_KEY|_ID/.test(name) && value)
        .map(([, value]) => value))
        assert.not.ok(text.includes(secret), name)
    if (typeof spoil === 'string' && !/DOMAIN|SMTP/.test(key))
      assert.is(found.length, 1, `${name}: one fault, one problem: ${text}`)
    assert.is(statSync(join(root, 'infra/docker')).mtimeMs, before, name)
  }
})

test('nothing right is called wrong', () => {
  const root = tree()
  generated(root)
  const fine: [string, string, string][] = [
    [top, 'SMTP_HOST', 'mailpit'],
    [top, 'MAIL_FROM', 'kgc.support+crm@mail.shop.hu'],
    [top, 'SMTP_PASSWORD', 'BGk7+x/Qm2Lw9Zt='],
    [top, 'SMTP_PORT', '443'],
    [top, 'ACME_EMAIL', 'it@shop.hu'],
    [red, 'RED_TOKEN', 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI3In0.dBjftJeZ4CVP-mB92K27uhbUJU1p1r'],
    [red, 'RED_USER', 'admin'],
    [red, 'RED_MAIL', 'smtp'],
    [red, 'RED_URL', 'http://minio:9000'],
    [red, 'RED_ORIGIN', 'https://a.shop.hu:443'],
    [red, 'RED_HOSTS', '*.shop.hu'.slice(2)],
    [red, 'RED_MINUTES', '60'],
    [red, 'RED_URL_PORT', ':8443'],
    [red, 'RED_TZ', 'America/Argentina/Buenos_Aires'],
    [red, 'RED_DOMAIN', 'kgc.localhost'],
    [blue, 'BLUE_OLD_KEY', 'SGVsbG8td29ybGQtOTg3'],
    [blue, 'BLUE_KEY', 'ZRC1wIcXEFeLCd5DOg0M6kdQzqlkTedyivJ2j+tBd+k='],
    [red, 'RED_DB_PASSWORD', 'Kx_9-bQ2mWz7Lp4Rt8Vn'],
  ]
  for (const [file, key, value] of fine) set(root, file, key, value)
  const zone = findEnvFiles(root).files[2]?.entries.find(({ key }) => key === 'RED_TZ')
  for (const name of ['UTC', 'CET', 'Etc/GMT+1', 'Europe/Kiev', 'Africa/Porto-Novo'])
    assert.is(validateEnvValue(zone!, name, new Set(), ''), undefined, name)
  generated(root)
  assert.equal(checkEnvFiles(root), [])
})

test('docker/compose#10419, #11058: what Compose would change in an extra file, and who may read it, is named by file and line', () => {
  const root = tree()
  generated(root)
  const extra = 'infra/docker/blue/extra.env'
  const problems = (text: string, mode = 0o600) => {
    put(root, extra, text)
    chmodSync(join(root, extra), mode)
    return checkEnvFiles(root).map(({ file, key, problem, altered }) => {
      assert.is(file, extra)
      assert.not.match(problem, /GOCSPX|hunter22/)
      return `${key}${altered ? '!' : ''} ${problem}`
    })
  }
  const fine = [
    '# GOCSPX-$x',
    'a.b=1',
    'B=x=y#z',
    `C='GOCSPX-ab$cd9 #"x"'`,
    'D="x # y"',
    "E=it's",
    'F=\\n',
  ]
  assert.equal(problems(`\uFEFF${fine.join('\r\n')}\n`), [])
  for (const bad of [
    'ID=GOCSPX-ab$cd9',
    'ID="GOCSPX-${cd9}"',
    'ID=hunter22 # note',
    'ID=hunter22 ',
    "ID='hunter22",
    "ID='hunter22\\'",
  ])
    assert.match(problems(`A=1\n${bad}\n`).join('|'), /^ID! line 2 would arrive as another value/)
  for (const bad of ['ID', 'export ID=hunter22', 'ID : hunter22'])
    assert.match(problems(`${bad}\n`).join('|'), /^! line 1 is neither/)
  assert.equal(problems('A=1\n', 0o644), [' is readable by other users'])
  put(root, extra, `GOOGLE_SECRET='GOCSPX-ab$cd9'\n`)
  loadEnvValues(root)
  assert.is(redact('it is GOCSPX-ab$cd9'), 'it is [secret]')
})

test('Bubka/2FAuth#310: a password that somebody else chose goes in between single quotes, and into every file alike', () => {
  const root = tree()
  generated(root)
  for (const value of ['Kgc!2024$x&', 'qwzx rtkb hmvd yplc', `a"b\\c#d é`]) {
    set(root, top, 'SMTP_PASSWORD', `'${value}'`)
    generated(root)
    assert.equal(checkEnvFiles(root), [])
    assert.match(read(root, blue), `SMTP_PASSWORD='${value}'\n`)
    for (const path of [top, blue]) assert.is(readEnvFile(join(root, path)).SMTP_PASSWORD, value)
  }
  for (const wrong of ['Kgc!2024$x&', `'it's'`, `'end\\'`, '"a$b"']) {
    set(root, top, 'SMTP_PASSWORD', wrong)
    const [found] = checkEnvFiles(root)
    assert.match(found?.remedy ?? '', 'between single quotes', wrong)
    assert.match(failure(() => planEnvFiles(findEnvFiles(root))).evidence ?? '', 'SMTP_PASSWORD')
  }
  set(root, top, 'SMTP_PASSWORD', '')
  set(root, red, 'RED_TOKEN', `'k3n8 v0q1'`)
  assert.match(
    checkEnvFiles(root)
      .map(one => one.problem)
      .join(),
    'character',
    'no other key',
  )
})

test('a thousand generated secrets are all accepted', () => {
  const root = tree()
  const [, second, third] = findEnvFiles(root).files
  const names = new Set(['blue', 'red', 'shop'])
  for (const entry of [...(second?.entries ?? []), ...(third?.entries ?? [])].filter(
    entry => entry.generate,
  ))
    for (let i = 0; i < 1000; i++) {
      const value = generateValue(entry.generate ?? '')
      assert.is(validateEnvValue(entry, value, names, ''), undefined, `${entry.key}: ${value}`)
    }
})

test("the repository's own examples: complete, no secret in them, no name in two folders, files in order", () => {
  const root = mkdtempSync(join(base, 'real-'))
  const { files } = findEnvFiles(repository)
  assert.ok(files.length > 4)
  const home = new Map<string, string>()
  for (const { folder, entries, example } of files) {
    put(root, example, read(repository, example))
    for (const { key, value, secret, shared, environments, ...entry } of entries) {
      if (secret)
        assert.equal([value, environments], ['', {}], `${example}: ${key} has a secret in it`)
      assert.equal(
        Object.keys(environments).filter(
          name => !['demo', 'dev', 'staging', 'production'].includes(name),
        ),
        [],
        `${example}: ${key} has an attribute of unknown name`,
      )
      assert.match(value, valueAlphabet)
      for (const other of entry.with ?? []) {
        assert.ok(
          entries.some(one => one.key === other.key),
          `${example}: ${other.key}`,
        )
        assert.ok(
          other.value === undefined ||
            entry.oneof?.includes(other.value) ||
            entry.format === 'port',
          `${example}: ${key} is never ${other.value}`,
        )
      }
      if (folder && shared) continue
      assert.is(home.get(key), undefined, `${key} stands in ${home.get(key)} and ${example}`)
      home.set(key, example)
    }
  }
  for (const name of ['', 'demo', 'staging']) {
    generated(root, name)
    assert.equal(checkEnvFiles(root, name), [], name)
    assert.equal(planEnvFiles(findEnvFiles(root, name)).filter(isEnvFileChanged), [])
  }
})

test("the repository's own examples know what mail wants of each application", () => {
  const root = mkdtempSync(join(base, 'mail-'))
  for (const { example } of findEnvFiles(repository).files)
    put(root, example, read(repository, example))
  generated(root)
  const problems = (values: Record<string, string>) => {
    for (const [key, value] of Object.entries(values)) set(root, top, key, value)
    generated(root)
    return checkEnvFiles(root).map(({ key, problem, remark }) => [key, problem, remark ?? false])
  }
  const mail = { SMTP_HOST: 'mail.kgc.hu', MAIL_FROM: 'crm@kgc.hu' }
  // twentyhq/twenty#17956, twentyhq/twenty#13245: it writes its mail to a log, and says nothing
  assert.equal(problems(mail), [['SMTP_HOST', 'is set, but TWENTY_EMAIL_DRIVER is not smtp', true]])
  set(root, 'infra/docker/twenty-crm/.env', 'TWENTY_EMAIL_DRIVER', 'smtp')
  assert.equal(problems(mail), [])
  // chatwoot/chatwoot#7869, zammad/zammad#648: a server that waits for TLS
  assert.equal(problems({ SMTP_PORT: '465' }), [
    ['SMTP_PORT', 'is 465, but CHATWOOT_SMTP_TLS is empty', false],
  ])
  set(root, 'infra/docker/chatwoot/.env', 'CHATWOOT_SMTP_TLS', 'true')
  assert.equal(problems({}), [])
  // chatwoot/chatwoot#8923: who may say where a visitor comes from
  const trusts = (value: string) => {
    set(root, 'infra/docker/traefik/.env', 'EDGE_TRUSTED_PROXIES', value)
    return checkEnvFiles(root).length === 0
  }
  assert.equal(['10.0.0.0/8,192.0.2.7', 'fd00::/8'].map(trusts), [true, true])
  assert.equal(['10.0.0.0/33', 'proxy.kgc.hu', '10.0.0.1/', '1.2.3.4/8/9'].map(trusts), [
    false,
    false,
    false,
    false,
  ])
})

test('the script: help, usage errors, check; stdout is NDJSON alone', async () => {
  const root = tree()
  // a copy: a broken script must not reach the repository's own files
  cpSync(join(repository, 'scripts'), join(root, 'scripts'), { recursive: true })
  cpSync(join(repository, 'package.json'), join(root, 'package.json'))
  symlinkSync(join(repository, 'node_modules'), join(root, 'node_modules'))
  const script = (...argv: string[]) => inProcess(root, ['env.ts', ...argv], { NO_COLOR: '1' })
  assert.match((await script('--help')).stdout, 'Exit codes:')
  for (const argv of [['--nonsense'], ['Upper'], ['example'], ['a', 'b']])
    assert.is((await script(...argv)).code, 2, argv.join(' '))
  const missing = await script('nowhere-at-all', '--check', '--json')
  assert.is(missing.code, 2)
  const events = missing.stdout
    .trim()
    .split('\n')
    .map(line => JSON.parse(line) as { event: string; file?: string })
  assert.ok(
    events.some(
      ({ event, file }) => event === 'problem' && file === 'infra/docker/.env.nowhere-at-all',
    ),
  )
  assert.match(missing.stderr, 'npx zx scripts/env.ts nowhere-at-all')
  // a program of its own: it has heard of no secret before
  const first = spawnSync(process.execPath, [...readTypeScript, 'scripts/env.ts', 'demo'], {
    cwd: root,
    encoding: 'utf8',
    env: { ...process.env, NO_COLOR: '1' },
  })
  assert.equal([first.status, first.stdout], [0, '3 of 3 env files written.\n'])
  assert.match(first.stderr, 'infra/docker/blue/.env.demo: created')
  for (const secret of Object.values(readEnvFile(join(root, `${blue}.demo`))).filter(
    value => value.length > 30,
  ))
    assert.not.match(first.stderr, secret)
  assert.match((await script('demo')).stdout, 'nothing to do')
  assert.equal([(await script('demo', '--check')).code, (await script('--check')).code], [0, 2])
})

test.run()
