// Each application's folder by itself, by plain `docker compose -f <folder>/docker-compose.yml`,
// with nothing of ours in between.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { spawnSync } from 'node:child_process'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { parse, stringify } from 'yaml'
import { fullProject } from '../project.ts'
import { waitUntil } from '../../until.ts'

const test = suite('alone')
const stack = fullProject('alone', 18120)
assert.is(stack.run(['env']).code, 0)

const folders: Record<
  string,
  { service: string; key: string; port: number; path: string; says: RegExp; header?: string }
> = {
  kgc: {
    service: 'kgc-api',
    key: 'KGC_API_PORT',
    port: 18130,
    path: '/api/v1/ready',
    says: /"ready"/,
  },
  'twenty-crm': {
    service: 'twenty-server',
    key: 'TWENTY_PORT',
    port: 18131,
    path: '/healthz',
    says: /"ok"/,
  },
  chatwoot: {
    service: 'chatwoot-web',
    key: 'CHATWOOT_PORT',
    port: 18132,
    path: '/health',
    says: /woot/,
    header: 'X-Forwarded-Proto: https',
  },
  'horilla-hr': {
    service: 'horilla-web',
    key: 'HORILLA_PORT',
    port: 18133,
    path: '/health/',
    says: /"ok"/,
  },
}

/** The demo's images for these services: what a registry would have given. */
function images(services: string[]): string {
  const demo = parse(readFileSync(join(stack.docker, 'docker-compose.demo.yml'), 'utf8'), {
    customTags: [{ tag: '!reset', collection: 'seq' }] as never,
  }) as { services: Record<string, { image: string }> }
  return stringify({
    services: Object.fromEntries(
      services.map(name => [name, { image: demo.services[name]!.image }]),
    ),
  })
}

for (const [folder, { service, key, port, path, says, header }] of Object.entries(folders))
  test(`${folder} works by itself on its port`, async () => {
    const env = {
      ...process.env,
      [key]: String(port),
      KGC_WEB_PORT: '18134',
      KGC_ADMIN_PORT: '18135',
    }
    const file = join(folder, 'docker-compose.yml')
    const compose = (...argv: string[]) =>
      spawnSync('docker', ['compose', '-p', stack.project, '-f', file, ...argv], {
        cwd: stack.docker,
        encoding: 'utf8',
        env,
      })
    const services = compose('config', '--services').stdout.trim().split('\n')
    const override = join(stack.docker, `${folder}.images.yml`)
    writeFileSync(override, images(services))
    const up = compose('-f', override, 'up', '-d')
    assert.is(up.status, 0, up.stderr)
    const ask = () =>
      spawnSync(
        'curl',
        [
          '-s',
          '--max-time',
          '5',
          ...(header ? ['-H', header] : []),
          `http://127.0.0.1:${port}${path}`,
        ],
        { encoding: 'utf8' },
      ).stdout
    await waitUntil(`${service} answers`, 90, () => says.test(ask()))
    const down = compose('-f', override, 'down', '--volumes', '--timeout', '5')
    assert.is(down.status, 0, down.stderr)
  })

test.run()
