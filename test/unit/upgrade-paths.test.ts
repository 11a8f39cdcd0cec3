// Upgrade paths: the version steps that the applications forbid.
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { upgradePaths as chatwoot } from '../../infra/docker/chatwoot/upgrade-paths.ts'
import { upgradePaths as kgc } from '../../infra/docker/kgc/upgrade-paths.ts'
import { upgradePaths as twenty } from '../../infra/docker/twenty-crm/upgrade-paths.ts'
import {
  findBlockedUpgrades,
  type UpgradeRule,
} from '../../scripts/lib/deploy/preflight/upgrade-paths.ts'

const test = suite('upgrade paths')

test('forbidden version steps are refused, others are not', () => {
  const step = (hops: UpgradeRule[], from: string, to: string) =>
    findBlockedUpgrades(hops, [from], [to]).length
  const cases: [UpgradeRule[], string, [string, string, number][]][] = [
    [
      chatwoot,
      'chatwoot/chatwoot',
      [
        ['v3.16.0-ce', 'v4.18.0-ce', 1],
        ['v3.16.0-ce', 'v4.1.0-ce', 0],
        ['v4.1.0', 'v4.18.0', 0],
        ['v4.18.0', 'v4.17.1', 1],
        ['v4.18.1', 'v4.18.0', 0],
        ['demo', 'v4.18.0', 0],
      ],
    ],
    [
      chatwoot,
      'pgvector/pgvector',
      [
        ['0.8.6-pg17-trixie', '0.8.6-pg18-trixie', 1],
        ['0.8.5-pg17', '0.8.6-pg17-trixie', 0],
      ],
    ],
    [
      twenty,
      'twentycrm/twenty',
      [
        ['v1.15.0', 'v1.17.0', 1],
        ['v1.15.0', 'v1.16.2', 0],
        ['v1.21.0', 'v2.45.6', 1],
        ['v1.22.0', 'v2.45.6', 0],
        ['v2.1.0', 'v2.45.6', 0],
        ['v2.45.6', 'v2.44.0', 1],
        ['v2.45.6', 'v2.45.5', 0],
      ],
    ],
    [
      kgc,
      'postgres',
      [
        ['17.11-alpine', '18.0-alpine', 1],
        ['17.10', '17.11-alpine', 0],
        ['17', '18', 1],
      ],
    ],
  ]
  for (const [hops, name, steps] of cases)
    for (const [from, to, count] of steps)
      assert.is(step(hops, `${name}:${from}`, `${name}:${to}`), count, `${name} ${from} → ${to}`)
})

test.run()
