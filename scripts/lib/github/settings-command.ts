// What `env.ts --github` says: each name with its state, and the commands that put it in order.
import { Failure, exit } from '../errors.ts'
import {
  createSettingCommand,
  compareSettings,
  requireGitHubRepository,
  fetchStoredSettings,
  type SettingState,
} from './environment-settings.ts'
import { listWorkflowSettings } from './workflow-settings.ts'
import { color, emit, printResult, say, table } from '../report.ts'

const stateLabels: Record<SettingState, string> = {
  set: 'set',
  repository: 'set for the whole repository: every workflow sees it',
  missing: 'missing',
  'not set': 'not set; optional',
  unknown: 'no workflow uses it',
}

/**
 * Lists what GitHub's environment has, lacks or has too many. Throws Failure (usage) when something
 * is missing.
 */
export async function reportGitHubSettings(root: string, name: string): Promise<void> {
  const all = listWorkflowSettings(root, name)
  const github = await requireGitHubRepository(root)
  const repository = `${github.owner}/${github.repo}`
  const found = await fetchStoredSettings(
    github,
    name,
    `The workflows use: ${all.map(one => `${one.name}${one.required ? '' : ' (optional)'}`).join(', ')}`,
  )
  const settings = compareSettings(all, found)
  const of = (setting: { kind: string; name: string }) =>
    all.find(one => one.kind === setting.kind && one.name === setting.name)
  const commands = settings.flatMap(
    setting => createSettingCommand(setting, of(setting), name, repository) ?? [],
  )
  if (!found.made) commands.unshift(`gh api --method PUT repos/${repository}/environments/${name}`)
  for (const setting of settings) emit('setting', { ...setting, files: of(setting)?.files ?? [] })
  const row = ({ kind, name, state }: (typeof settings)[number]) => [
    name,
    kind,
    stateLabels[state],
    of({ kind, name })?.files.join(', ') ?? '',
  ]
  printResult(table([['name', 'kind', 'state', 'used by'], ...settings.map(row)]))
  if (!found.made) say(color.yellow(`${repository} has no environment ${name} yet.`))
  const missing = settings.filter(({ state }) => state === 'missing').map(({ name }) => name)
  emit('result', { environment: name, repository, made: found.made, missing, commands })
  if (missing.length || !found.made)
    throw new Failure(
      exit.usage,
      `Look at ${name} of ${repository}`,
      missing.length ? `missing: ${missing.join(', ')}` : 'GitHub has no such environment',
      {
        evidence: commands.join('\n'),
        next: 'the commands above, from the repository’s folder; FILE contains only the value',
      },
    )
  if (commands.length) printResult(`\nTo put it in order:\n${commands.join('\n')}`)
}
