// The linters: each is silent or the test fails.
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { actionlint, collector, linter, pint, promtool } from './tools.ts'

/** The files that git tracks or would track, by pattern. */
const files = (...patterns: string[]): string[] =>
  execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard', ...patterns], {
    encoding: 'utf8',
  })
    .split('\n')
    .filter(file => file && existsSync(file))

const isShell = (file: string): boolean =>
  file.endsWith('.sh') ||
  (!/\.\w+$/.test(file) && /^#!.*\b(ba)?sh$/m.test(readFileSync(file, 'utf8').slice(0, 80)))

export function linters(): { name: string; argv: string[] }[] {
  const shell = files('*.sh', '.ci/*', '.github/*', 'infra/*', 'test/*').filter(isShell)
  // a file of builds is no stack: its services have neither order nor limits to judge
  const compose = files('*docker-compose*.yml', 'infra/docker/common.yml').filter(
    file => !file.endsWith('.build.yml'),
  )
  // what stands for a bundler's output is not written by hand
  const code = files('*.ts', '*.mjs', '*.js').filter(
    file => !/^infra\/demo\/standin\/.*\/assets\//.test(file),
  )
  return [
    { name: 'tsc', argv: ['node_modules/.bin/tsc', '--noEmit'] },
    { name: 'measures', argv: [process.execPath, '--import=tsx', 'test/measures.ts'] },
    { name: 'oxlint', argv: ['node_modules/.bin/oxlint', '--type-aware'] },
    { name: 'oxfmt', argv: ['node_modules/.bin/oxfmt', '--check', ...code] },
    {
      name: 'yamllint',
      argv: [linter('yamllint'), '--strict', ...files('*.yml', '*.yaml', '.yamllint')],
    },
    { name: 'dclint', argv: ['node_modules/.bin/dclint', '--max-warnings', '0', ...compose] },
    { name: 'hadolint', argv: [linter('hadolint'), ...files('*Dockerfile')] },
    { name: 'shellcheck', argv: [linter('shellcheck'), ...shell] },
    {
      name: 'actionlint',
      argv: [actionlint, '-shellcheck', linter('shellcheck'), '-pyflakes', ''],
    },
    {
      name: 'promtool',
      argv: [
        promtool,
        ...['check', 'rules', '--lint=all', '--lint-fatal'],
        ...files('infra/monitoring/prometheus/rules/*.yml'),
      ],
    },
    {
      name: 'pint',
      argv: [
        ...[pint, '--no-color', '--offline', 'lint', '--min-severity=info', '--fail-on=info'],
        'infra/monitoring/prometheus/rules',
      ],
    },
    {
      name: 'collector',
      argv: [
        ...['env', 'COMPOSE_PROJECT_NAME=kgc', 'KGC_ENVIRONMENT=test', collector],
        ...['validate', '--config', 'infra/monitoring/collector/config.yaml'],
      ],
    },
    // it says "No findings" in any case: the exit code is what counts
    {
      name: 'zizmor',
      argv: [linter('zizmor'), '--offline', '--pedantic', '--no-progress', '.github'],
    },
  ]
}
