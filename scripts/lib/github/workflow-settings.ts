// Which secrets and variables the workflows use, read from the workflows themselves: there is no
// other list.
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'
import { findEnvFiles, type EnvFile } from '../env/files.ts'
import { Failure, exit } from '../errors.ts'

export type SettingKind = 'secret' | 'variable'

export interface WorkflowSetting {
  kind: SettingKind
  name: string
  /** A variable has a default, and so has what an example calls optional. */
  required: boolean
  /** The workflows that ask for it. */
  files: string[]
  /** The env file that has its value. */
  source: EnvFile | undefined
}

type Json = Record<string, any>
const workflowFolder = '.github/workflows'

/**
 * What the jobs of one of GitHub's environments ask for. Throws Failure (usage) when no job is in
 * it.
 */
export function listWorkflowSettings(root: string, name: string): WorkflowSetting[] {
  const jobs = readdirSync(join(root, workflowFolder))
    .filter(file => file.endsWith('.yml'))
    .sort()
    .flatMap(file => readWorkflowJobs(root, file))
  const names = [...new Set(jobs.flatMap(({ environments }) => environments))].sort()
  if (!names.includes(name))
    throw new Failure(
      exit.usage,
      "Choose one of GitHub's environments",
      `no job is in ${name || 'one without a name'}`,
      {
        next: `npx zx scripts/env.ts --github ${names[0] ?? ''}   (there are ${names.join(', ')})`,
      },
    )
  const found = new Map<string, WorkflowSetting>()
  const { files } = findEnvFiles(root, name)
  for (const { file, text, environments } of jobs)
    for (const [, scope, key] of environments.includes(name)
      ? text.matchAll(/\b(secrets|vars)\.([A-Z_][A-Z0-9_]*)/g)
      : []) {
      if (key === 'GITHUB_TOKEN') continue
      const kind = scope === 'secrets' ? 'secret' : 'variable'
      const source = files.find(({ entries }) => entries.some(entry => entry.key === key))
      const entry = source?.entries.find(entry => entry.key === key)
      const one = found.get(`${kind} ${key}`) ?? {
        kind,
        name: key!,
        required: kind === 'secret' && (entry?.required ?? true),
        files: [],
        source,
      }
      if (!one.files.includes(file)) one.files.push(file)
      found.set(`${kind} ${key}`, one)
    }
  return [...found.values()]
}

interface WorkflowJob {
  file: string
  text: string
  environments: string[]
}

function readWorkflowJobs(root: string, file: string): WorkflowJob[] {
  const { jobs, on } = parse(readFileSync(join(root, workflowFolder, file), 'utf8')) as Json
  return Object.values(jobs as Json).map(job => ({
    file,
    text: JSON.stringify(job),
    environments: jobEnvironments(job.environment, on),
  }))
}

/** A job is in the environment that it names, or in each that a person may choose. */
function jobEnvironments(given: string | { name: string } | undefined, on: Json): string[] {
  const name = typeof given === 'object' ? given.name : given
  const input = /^\$\{\{ *inputs\.([\w-]+) *\}\}$/.exec(name ?? '')?.[1]
  if (input) return on.workflow_dispatch.inputs[input].options
  // what is computed is named where it is written out
  return name && !name.includes('${{') ? [name] : []
}
