// What a person attaches to a report: versions, findings, settings without their values, states and
// last log lines, without the secrets that the env files hold, in one file.
import { writeFileSync } from 'node:fs'
import { homedir, hostname, release } from 'node:os'
import { resolve } from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import { readToolkitVersion } from '../cli.ts'
import {
  listContainers,
  readContainerLogs,
  serviceNameOf,
  type Container,
} from '../compose/containers.ts'
import { stackOf } from '../compose/stack.ts'
import { inspectMachine, readEngineInfo } from '../engine/engine.ts'
import { parseExtraFile } from '../env/lines.ts'
import { findEnvFiles, listExtraFiles, loadEnvValues, readEnvText } from '../env/files.ts'
import { exit, Failure } from '../errors.ts'
import { keepSecret, redact } from '../redact.ts'
import { table } from '../report.ts'
import { parse } from 'dotenv'
import type { Finding } from './finding.ts'

/** How many lines of each log are kept, and how many bytes. */
const kept = { lines: 60, bytes: 20_000 }

export interface BundlePart {
  title: string
  text: string
}

/**
 * Writes the bundle of a mode's stack into the folder that the person is in. Out: its path. Throws
 * Failure (refused) when it cannot be written.
 */
export async function writeBundle(
  mode: string,
  root: string,
  findings: Finding[],
): Promise<string> {
  const { project, suffix } = stackOf(mode)
  // all secrets are known from here on
  const values = loadEnvValues(root, suffix.slice(1), true)
  // who somebody is, too, has no place in public
  for (const [key, value] of Object.entries(values))
    if (/USER|EMAIL|LOGIN|MAIL_FROM/.test(key)) keepSecret(value)
  if (homedir() !== '/') keepSecret(homedir())
  keepSecret(hostname())
  const containers = await listContainers(project).catch(() => [])
  const parts: BundlePart[] = [
    { title: 'Versions', text: await describeVersions() },
    { title: 'What the doctor says', text: describeFindings(findings) },
    { title: 'Settings, without their values', text: describeSettings(root, mode) },
    { title: 'Containers', text: describeContainers(containers) },
    ...(await readLastLines(containers)),
  ]
  const stamp = new Date().toISOString().slice(0, 19).replaceAll(':', '-')
  const path = resolve(process.env.INIT_CWD || '.', `kgc-report-${stamp}.txt`)
  try {
    writeFileSync(path, formatBundle(parts), { mode: 0o600, flag: 'wx' })
  } catch (error) {
    const why = `it cannot be written (${(error as NodeJS.ErrnoException).code})`
    throw new Failure(exit.refused, `Write ${path}`, why, {
      next: 'the same command in a folder that you may write to',
    })
  }
  return path
}

/** The parts as one text, without secrets and terminal codes. */
export const formatBundle = (parts: BundlePart[]): string =>
  redact(
    stripVTControlCharacters(
      parts
        .map(({ title, text }) => `## ${title}\n\n${text.trimEnd() || '(nothing)'}\n`)
        .join('\n'),
    ),
  )

async function describeVersions(): Promise<string> {
  const [machine, { info }] = await Promise.all([inspectMachine(), readEngineInfo()])
  const gigabytes = info.MemTotal ? `${(info.MemTotal / 1e9).toFixed(1)} GB` : 'unknown'
  const rows = {
    toolkit: readToolkitVersion(),
    system: `${machine.os.PRETTY_NAME ?? machine.platform}, kernel ${release()}, ${machine.init}`,
    node: process.version,
    docker: `${machine.engine ?? machine.silence}, client ${machine.clientVersion ?? 'not there'}`,
    compose: machine.compose?.version ?? 'not there',
    buildx: machine.buildx?.version ?? 'not there',
    engine: `${info.Driver}, cgroup v${info.CgroupVersion}, ${info.NCPU} CPUs, memory ${gigabytes}`,
  }
  return Object.entries(rows)
    .map(([name, value]) => `${name}: ${value}`)
    .join('\n')
}

const describeFindings = (findings: Finding[]): string =>
  findings.map(({ severity, area, what }) => `${severity}: ${area}: ${what}`).join('\n')

/** Of each env file which keys have a value and which have none; a value is never shown. */
export function describeSettings(root: string, mode: string): string {
  const { files, suffix } = findEnvFiles(root, mode)
  const own = files.map(({ name, path, entries }) => {
    const text = readEnvText(path)
    if (text === undefined) return `${name}: not there`
    const values = parse(text)
    const isExample = (key: string) => entries.find(one => one.key === key)?.value === values[key]
    const set = Object.keys(values).filter(key => values[key])
    const list = (words: string, keys: string[]) =>
      keys.length ? [`  ${words}: ${keys.join(', ')}`] : []
    const known = new Set(entries.map(({ key }) => key))
    return [
      `${name}:`,
      ...list(
        'set',
        set.filter(key => known.has(key) && !isExample(key)),
      ),
      ...list(
        'as in the example',
        set.filter(key => known.has(key) && isExample(key)),
      ),
      ...list(
        'empty',
        Object.keys(values).filter(key => !values[key]),
      ),
      ...list(
        'in no example',
        set.filter(key => !known.has(key)),
      ),
      ...list(
        'missing',
        [...known].filter(key => !(key in values)),
      ),
    ].join('\n')
  })
  const extra = listExtraFiles(root, { files, suffix }).map(
    ({ name, path }) =>
      `${name}: ${Object.keys(parseExtraFile(readEnvText(path) ?? '')).join(', ')}`,
  )
  return [...own, ...extra].join('\n')
}

/** How each container stands. */
export function describeContainers(all: Container[]): string {
  const rows = all.map(one => {
    const { Status, Health, ExitCode, OOMKilled, StartedAt, Error: error } = one.State
    return [
      serviceNameOf(one),
      one.Config.Image,
      [Status, Health?.Status, OOMKilled ? 'out of memory' : '', error].filter(Boolean).join(', '),
      String(ExitCode),
      String(one.RestartCount),
      StartedAt.slice(0, 19),
    ]
  })
  return rows.length
    ? table([['service', 'image', 'state', 'exit', 'restarts', 'started'], ...rows])
    : ''
}

/** The end of each log. */
export async function readLastLines(
  all: Container[],
  read: typeof readContainerLogs = readContainerLogs,
): Promise<BundlePart[]> {
  return Promise.all(
    all.map(async one => {
      const { stdout, stderr } = await read(one.Id, ['--timestamps', '--tail', `${kept.lines}`])
      // both streams, in the order of their time
      const lines = `${stdout}\n${stderr}`.split('\n').filter(Boolean).sort()
      return { title: `Log of ${serviceNameOf(one)}`, text: lines.join('\n').slice(-kept.bytes) }
    }),
  )
}
