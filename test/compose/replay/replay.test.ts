// Every alert that can be provoked is, on the running demo, and the first commands of its entry in the
// runbook are run while it fires. With KGC_SOAK alone: it takes half an hour, and all processors.
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { nameOf, provenBy, rules } from '../../alerts.ts'
import { repository } from '../../sandbox.ts'
import { pint } from '../../tools.ts'
import { makeDemo, type Demo, type Firing } from './demo.ts'
import type { Fault } from './fault.ts'
import { groups, reasons } from './faults.ts'
import { commandsOf, runCommands } from './runbook.ts'

const test = suite('replay')
// each fault ends with the process at the latest
process.setMaxListeners(50)
const soak = Boolean(process.env.KGC_SOAK)
const alerts = rules.filter(({ alert }) => alert).map(nameOf)
const provoked = Object.values(groups).flatMap(faults =>
  faults.flatMap(({ alerts }) => Object.keys(alerts)),
)

test('every alert is provoked, or there is a reason why not', () => {
  assert.equal([...provoked, ...Object.keys(reasons)].sort(), [...alerts].sort())
  if (!soak) console.log(table())
})

test('every entry of the runbook has a command that looks and changes nothing', () => {
  assert.equal(
    alerts.filter(alert => !commandsOf(alert).length),
    [],
  )
})

/** What was seen of an alert, in s. */
const seen = new Map<string, { fired: number; resolved?: number; faults: string[] }>()

const matches = (labels: Record<string, string>, wanted: Record<string, string | RegExp> = {}) =>
  Object.entries(wanted).every(([name, value]) =>
    typeof value === 'string' ? labels[name] === value : value.test(labels[name] ?? ''),
  )
const findFiring = (firing: Firing[], alert: string, { alerts }: Fault) =>
  firing.find(({ labels }) => labels.alertname === alert && matches(labels, alerts[alert]?.labels))
const unseen = (faults: Fault[]) =>
  faults.filter(({ alerts }) => Object.keys(alerts).some(alert => !seen.has(alert)))
const pause = (ms: number) => new Promise(done => setTimeout(done, ms))

/** Waits until all of it has fired, and runs the commands of each as it does. */
async function provoke(demo: Demo, faults: Fault[], minutes: number): Promise<void> {
  const start = Date.now()
  for (const fault of faults) await fault.make?.(demo)
  for (let round = 0; Date.now() - start < minutes * 60_000; round++) {
    look(demo, demo.firing(), faults, start)
    const left = unseen(faults)
    if (!left.length) return
    // what it asks may be away at that moment
    for (const fault of left) await fault.again?.(demo, round).catch(() => undefined)
    await pause(1000)
  }
}

function look(demo: Demo, firing: Firing[], faults: Fault[], start: number): void {
  for (const fault of faults)
    for (const [alert, { shows }] of Object.entries(fault.alerts)) {
      const found = findFiring(firing, alert, fault)
      if (!found || seen.has(alert)) continue
      const fired = Math.round((Date.now() - start) / 1000)
      const said = runCommands(demo, found)
      const wrong = said.flatMap(({ fault }) => fault ?? [])
      const all = said.map(({ output }) => output).join('\n')
      const unshown = shows.test(all) ? [] : [`no command shows ${shows}`]
      if (unshown.length) console.error(all.slice(-3000))
      seen.set(alert, { fired, faults: [...wrong, ...unshown] })
      console.log(
        `  ${alert}: fires after ${fired} s; ${said.length} commands ${[...wrong, ...unshown].join('; ')}`,
      )
    }
}

async function waitForEnd(demo: Demo, minutes: number): Promise<void> {
  const start = Date.now()
  const all = Object.values(groups).flat()
  while (Date.now() - start < minutes * 60_000) {
    const firing = demo.firing()
    for (const fault of all)
      for (const alert of Object.keys(fault.alerts)) {
        const one = seen.get(alert)
        if (one && one.resolved === undefined && !findFiring(firing, alert, fault))
          one.resolved = Math.round((Date.now() - start) / 1000)
      }
    const open = [...seen].filter(
      ([alert, { resolved }]) => resolved === undefined && alert !== 'Watchdog',
    )
    if (!open.length) return
    await pause(3000)
  }
}

function table(): string {
  const line = (...cells: string[]) =>
    `  ${cells.map((cell, i) => cell.padEnd([30, 7, 7, 0][i]!)).join(' ')}`
  const word = (is: boolean) => (is ? 'yes' : 'reason')
  const rows = rules
    .filter(({ alert }) => alert)
    .map(rule => {
      const { fires, silent } = provenBy(rule)
      const live = seen.get(nameOf(rule))
      const ended =
        live?.resolved === undefined
          ? 'not seen to end'
          : `gone ${live.resolved} s after all was well`
      const text = live
        ? `after ${live.fired} s, ${ended}`
        : (reasons[nameOf(rule)] ?? 'make soak provokes it')
      return line(nameOf(rule), word(fires), word(silent), text)
    })
  return [line('alert', 'fires', 'silent', 'live'), ...rows].join('\n')
}

if (soak) {
  let demo: Demo
  test('each fires in the demo that is broken for it, the runbook shows the fault, and it ends', async () => {
    demo = makeDemo('replay', 28_380)
    const monitored = { env: { MONITORING: '1' }, timeout: 900_000 }
    const up = demo.run(['up', 'demo'], monitored)
    assert.is(up.code, 0, up.stderr)
    assert.is(demo.run(['admin', 'demo'], monitored).code, 0)
    for (const [name, faults] of Object.entries(groups)) {
      console.log(`  ${name}`)
      await provoke(demo, faults, 8)
      for (const fault of faults) await fault.mend?.(demo)
      const again = demo.run(['up', 'demo'], monitored)
      assert.is(again.code, 0, again.stderr)
    }
    await waitForEnd(demo, 9)
    console.log(table())
    const wrong = provoked.flatMap(alert => {
      const one = seen.get(alert)
      if (!one) return [`${alert}: did not fire`]
      const end = one.resolved === undefined && alert !== 'Watchdog' ? ['did not end'] : []
      return [...one.faults, ...end].map(fault => `${alert}: ${fault}`)
    })
    assert.equal(wrong, [])
  })

  test('every series that a rule names has been there by then, with the labels that it names', () => {
    const config = join(demo.root, 'pint.hcl')
    writeFileSync(
      config,
      `prometheus "demo" {
  uri = "http://${demo.address('prometheus')}:9090"
  required = true
}
checks { enabled = ["promql/series"] }
check "promql/series" {
  lookbackRange = "2h"
  lookbackStep = "10s"
}
`,
    )
    const argv = ['--no-color', '--config', config, 'lint', '--min-severity=bug', '--fail-on=bug']
    const { status, stderr } = spawnSync(pint, [...argv, 'infra/monitoring/prometheus/rules'], {
      cwd: repository,
      encoding: 'utf8',
    })
    assert.is(status, 0, stderr)
  })
}

test.run()
