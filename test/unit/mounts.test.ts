// Whether a container can read what it mounts.
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { ComposeConfig } from '../../scripts/lib/compose/stack.ts'
import { findUnreadableMounts, canRead, chmodCommand } from '../../scripts/lib/compose/mounts.ts'

const test = suite('mounts')
const folder = 0o040000
const file = 0o100000
const of = (mode: number, uid = 1000, gid = 1000) => ({ mode, uid, gid })

test('traefik/traefik#11396: root without DAC_OVERRIDE is bound by owner, group and others', () => {
  assert.ok(canRead(of(folder | 0o755), '', false))
  assert.not(canRead(of(folder | 0o700), '', false), 'cloned by another user under umask 077')
  assert.not(canRead(of(folder | 0o750), 'root', false), 'and 027')
  assert.not(canRead(of(folder | 0o744), '', false), 'a folder must be entered')
  assert.ok(canRead(of(folder | 0o700), '', true))
  assert.ok(canRead(of(folder | 0o700, 0, 0), '', false))
  assert.ok(canRead(of(folder | 0o750, 1000, 0), '', false))
})

test('another user by its number or its name', () => {
  assert.ok(canRead(of(file | 0o600, 101), '101:101', false))
  assert.ok(canRead(of(file | 0o640, 0, 101), '101:101', false))
  assert.not(canRead(of(file | 0o640, 0, 0), '101:101', true))
  assert.not(canRead(of(file | 0o600, 0, 0), 'postgres', true))
  assert.ok(canRead(of(file | 0o644, 0, 0), 'postgres', false))
})

test('what is open to all asks nobody; a closed file deep in a folder is found, and one command opens all', async () => {
  const root = mkdtempSync(join(tmpdir(), 'kgc-mounts-'))
  process.once('exit', () => rmSync(root, { recursive: true }))
  chmodSync(root, 0o755)
  mkdirSync(join(root, 'in'))
  writeFileSync(join(root, 'in/rules.yml'), '')
  const config = {
    name: 'p',
    services: {
      edge: {
        user: 'edge',
        cap_drop: ['ALL'],
        volumes: [{ type: 'bind', source: root, target: '/x' }],
      },
    },
  } as ComposeConfig
  assert.equal(await findUnreadableMounts(config, ['edge'], root), [])
  chmodSync(join(root, 'in/rules.yml'), 0o600)
  const closed = await findUnreadableMounts(config, ['edge'], root)
  assert.equal(
    closed.map(({ service, user }) => [service, user]),
    [['edge', 'edge']],
  )
  assert.match(closed[0]!.path, /in\/rules\.yml$/)
  // what is not the repository's is as it is: a whole machine would be read
  assert.equal(await findUnreadableMounts(config, ['edge'], join(root, 'in')), [])
  assert.is(
    chmodCommand([
      { ...closed[0]!, path: 'a' },
      { ...closed[0]!, path: 'a/b' },
      { ...closed[0]!, path: 'ab' },
    ]),
    'chmod -R o+rX a ab',
  )
})

test.run()
