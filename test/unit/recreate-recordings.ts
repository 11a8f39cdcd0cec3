// Re-creations as test/compose/recreate/record-containers.ts has recorded them in
// test/fixtures/recreate.
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { containersByService, type Container } from '../../scripts/lib/compose/containers.ts'
import type { ExpectedService, StackSnapshot } from '../../scripts/lib/compose/stack-status.ts'
import { configHashLabel } from '../../scripts/lib/compose/service-status.ts'

interface Flat {
  id: string
  created: string
  service: string
  /** Compose's label: `db:service_healthy:false,…`. */
  needs?: string
  hash: string
  image: string
  interval?: number
  retries?: number
  status: string
  exit?: number
  restarts?: number
  error?: string
  started: string
  finished: string
  health?: string
  probe?: { exit: number; output: string }
}

const folder = join(import.meta.dirname, '../fixtures/recreate')
export const recordings = readdirSync(folder).filter(name => name.endsWith('.jsonl'))

const unflat = (one: Flat): Container => ({
  Id: one.id,
  Name: `/${one.service}`,
  Created: one.created,
  Image: one.image,
  RestartCount: one.restarts ?? 0,
  Config: {
    Labels: { 'com.docker.compose.service': one.service, [configHashLabel]: one.hash },
    Image: '',
    Healthcheck: { Interval: one.interval ?? 0, Retries: one.retries ?? 0 },
  },
  State: {
    Status: one.status,
    ExitCode: one.exit ?? 0,
    OOMKilled: false,
    Error: one.error ?? '',
    StartedAt: one.started,
    FinishedAt: one.finished,
    ...(one.health
      ? {
          Health: {
            Status: one.health,
            Log: one.probe
              ? [{ Start: '', End: '', ExitCode: one.probe.exit, Output: one.probe.output }]
              : [],
          },
        }
      : {}),
  },
})

/** A recording as the judge sees it; wanted is what was there at its end. */
export function looks(name: string): { expected: ExpectedService[]; steps: StackSnapshot[] } {
  const lines = readFileSync(join(folder, name), 'utf8')
    .trim()
    .split('\n')
    .map(
      line =>
        JSON.parse(line) as { at: number; composeExitCode?: number; set: Flat[]; gone?: string[] },
    )
  const there = new Map<string, Flat>()
  const steps: StackSnapshot[] = []
  for (const { at, composeExitCode, set, gone } of lines) {
    for (const one of set) there.set(one.id, one)
    for (const id of gone ?? []) there.delete(id)
    const found = [...there.values()].map(unflat)
    steps.push({
      at,
      composeExitCode,
      containers: containersByService(found),
      containersBefore: steps[0]?.containersBefore ?? new Map(found.map(one => [one.Id, one])),
    })
  }
  const needs = (one: Flat) =>
    (one.needs ?? '')
      .split(',')
      .filter(Boolean)
      .map(need => need.split(':') as [string, string])
  const all = [...there.values()]
  const once = new Set(
    all
      .flatMap(needs)
      .filter(([, condition]) => condition === 'service_completed_successfully')
      .map(([service]) => service),
  )
  const expected = all.map(one => ({
    service: one.service,
    oneShot: once.has(one.service),
    dependencies: needs(one).map(([service]) => service),
    hash: one.hash,
    image: one.image,
  }))
  return { expected, steps }
}
