// Writes the env files of an environment from the examples, or checks them.
// Usage: npx zx scripts/env.ts [environment] [--check] | --github <environment> | --owner NAME
// Exit codes: 0 2 3 4 5
import { parseArgs } from 'node:util'
import { readScriptArguments, wantsHelp } from './lib/arguments.ts'
import { exit, exitHelp } from './lib/errors.ts'

if (wantsHelp()) {
  console.log(`Usage: npx zx scripts/env.ts [environment] [--check]
       npx zx scripts/env.ts --github <environment>
       npx zx scripts/env.ts --owner NAME

Writes infra/docker/.env and a .env in each folder that has a .env.example, and makes up the secrets. A value that is there is never
changed, but for those that follow the root file (shared) or the example (pinned). A second run has nothing to do.
  environment   none for this machine's own stack; any other, such as demo, has files of its own: .env.demo
  --check       writes nothing; names all that is wrong by file and key, never by value; exit 2 when anything is
  --github      names the secrets and variables that GitHub's environment has, lacks or has too many, by what the workflows ask for, and the
                commands that set them from the env files; exit 2 when one is missing. Token: GITHUB_TOKEN, GH_TOKEN or gh's own
  --owner       sets whose the images that are built here and their source are, in the example that has the key and wherever else Compose,
                Kubernetes and Renovate must name him; to be committed
  --json        NDJSON events on stdout

${exitHelp(0, 2, 3, 4, 5)}`)
  process.exit(exit.done)
}

const { join } = await import('node:path')
const { Failure } = await import('./lib/errors.ts')
const { findEnvFiles } = await import('./lib/env/files.ts')
const { checkEnvFiles } = await import('./lib/env/check.ts')
const { isEnvFileChanged, planEnvFiles, writeEnvFiles } = await import('./lib/env/write.ts')
const { color, emit, setJsonOutput, main, printResult, say } = await import('./lib/report.ts')

await main(async () => {
  const flag = { type: 'boolean' } as const
  const options = { check: flag, github: flag, json: flag, owner: { type: 'string' } } as const
  const { values, positionals } = parseArgs({
    args: readScriptArguments(),
    allowPositionals: true,
    options,
  })
  setJsonOutput(Boolean(values.json))
  if (positionals.length > 1)
    throw new Failure(exit.usage, 'Read the arguments', 'one environment at a time', {
      next: 'npx zx scripts/env.ts --help',
    })
  const root = join(import.meta.dirname, '..')
  if ([values.github, values.check, values.owner !== undefined].filter(Boolean).length > 1)
    throw new Failure(exit.usage, 'Read the arguments', 'one of --check, --github, --owner', {
      next: 'npx zx scripts/env.ts --help',
    })
  if (values.github)
    return (await import('./lib/github/settings-command.ts')).reportGitHubSettings(
      root,
      positionals[0] ?? '',
    )
  if (values.owner !== undefined) {
    const { readImageOwner, writeOwner } = await import('./lib/images/owner.ts')
    const files = writeOwner(values.owner)
    for (const file of files) say(`${file}: changed`)
    emit('result', { ...readImageOwner(), written: files.length })
    return printResult(
      files.length
        ? `${files.length} files name ${values.owner}: commit them, then make env.`
        : `All files name ${values.owner}: nothing to do.`,
    )
  }
  const it = findEnvFiles(root, positionals[0])
  const problems = () =>
    checkEnvFiles(root, it.name).map(one => {
      emit('problem', one)
      return `${one.file}: ${[one.key, one.problem].filter(Boolean).join(' ')}; ${one.remedy}`
    })

  if (values.check) {
    const found = problems()
    emit('result', { environment: it.name, problems: found.length })
    if (found.length)
      throw new Failure(
        exit.usage,
        'Check the env files',
        `${found.length} ${found.length > 1 ? 'problems' : 'problem'}`,
        {
          evidence: found.join('\n'),
          next: `mend them, then ${it.command} --check`,
        },
      )
    return printResult(`${it.files.length} env files are in order.`)
  }

  // Pre-flight: all files are planned before one is touched.
  const list = planEnvFiles(it)
  const changed = list.filter(isEnvFileChanged)

  // Impact.
  writeEnvFiles(list)
  for (const change of list) {
    const { file, before, added, followed, unknown } = change
    const existingState = changed.includes(change) ? 'changed' : 'unchanged'
    const state = before === undefined ? 'created' : existingState
    const words = [
      before !== undefined && added.length
        ? `${added.length} ${added.length > 1 ? 'keys' : 'key'} added (${added.join(', ')})`
        : '',
      followed.length
        ? `${followed.join(', ')} now ${followed.length > 1 ? 'follow' : 'follows'} ${file.folder ? `${it.files[0].name} or ` : ''}${file.example}`
        : '',
    ].filter(Boolean)
    say(`${file.name}: ${words.join('; ') || (state === 'changed' ? 'put in order' : state)}`)
    if (unknown.length)
      say(
        color.yellow(
          `  ${file.example} no longer has ${unknown.join(', ')}; kept at the end of the file`,
        ),
      )
    emit('file', { file: file.name, state, added, followed, unknown })
  }
  const open = problems()
  if (open.length) say(color.yellow(['Still to do:', ...open].join('\n  ')))
  emit('result', { environment: it.name, written: changed.length, problems: open.length })
  printResult(
    changed.length
      ? `${changed.length} of ${list.length} env files written.`
      : `${list.length} env files are there: nothing to do.`,
  )
})
