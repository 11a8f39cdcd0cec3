// Doors of the edge that only an administrator opens, and what Traefik's own answers are taken for.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { rejectTraefikAnswers, hostsBehind } from '../../scripts/lib/smoke/doors.ts'
import { dockerFolder } from '../../scripts/lib/repository.ts'

const test = suite('doors')

test("nobody at home is not a closed door: Traefik's own answer is an error to the checks of an application", async () => {
  const ask = (folder: string, status: number, body: string) =>
    rejectTraefikAnswers(
      {
        get: async () => ({ status, body, headers: new Headers(), ms: 0 }),
        websocket: async () => '',
      },
      folder,
    )
      .get('https://hr.kgc.hu/x')
      .then(
        ({ status }) => String(status),
        (error: Error) => error.message,
      )
  for (const [status, body] of [
    [404, '404 page not found\n'],
    [503, 'no available server\n'],
    [502, 'Bad Gateway'],
    [503, readFileSync(join(dockerFolder, 'traefik/pages/restarting.html'), 'utf8')],
    [404, readFileSync(join(dockerFolder, 'traefik/pages/unknown.html'), 'utf8')],
  ] as const)
    assert.match(
      await ask('horilla-hr', status, body),
      new RegExp(
        `^away: https://hr.kgc.hu/x is answered by Traefik itself \\(${status}\\).*make admin APP=horilla-hr`,
      ),
    )
  assert.is(await ask('horilla-hr', 404, '<h1>Not Found</h1>'), '404', "an application's own")
  assert.is(
    await ask('traefik', 404, '404 page not found\n'),
    '404',
    "what the edge's own checks look for",
  )
})

test('the hosts of a door are those of the routers that wait for it', () => {
  const labels = {
    'traefik.http.routers.twenty.rule': 'Host(`crm.kgc.hu`) || Host(`c.kgc.hu`)',
    'traefik.http.routers.twenty.middlewares': 'open-twenty-crm@file,application@file',
    'traefik.http.routers.other.rule': 'Host(`app.kgc.hu`)',
    'traefik.http.routers.other.middlewares': 'headers@file',
  }
  assert.equal(
    hostsBehind({ services: { a: { labels } as never, b: {} as never } }, 'twenty-crm'),
    ['crm.kgc.hu', 'c.kgc.hu'],
  )
  assert.equal(hostsBehind({ services: { a: { labels } as never } }, 'chatwoot'), [])
})

test.run()
