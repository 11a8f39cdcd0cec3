// The linters: each is silent or the test fails.
import { execFileSync } from 'node:child_process'
import { homedir } from 'node:os'
import { join } from 'node:path'

const tools = join(homedir(), '.cache/kgc-stack/bin')

/** The files that git tracks or would track, by pattern. */
const files = (...patterns: string[]): string[] =>
  execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard', ...patterns], { encoding: 'utf8' }).split('\n').filter(Boolean)

export function linters(): { name: string; argv: string[] }[] {
  const shell = files('*.sh', '.ci/run')
  return [
    { name: 'tsc', argv: ['node_modules/.bin/tsc', '--noEmit'] },
    { name: 'yamllint', argv: [join(tools, 'yamllint'), '--strict', '.'] },
    { name: 'dclint', argv: ['node_modules/.bin/dclint', '--max-warnings', '0', ...files('infra/docker/docker-compose*.yml', 'infra/docker/*/docker-compose*.yml', 'infra/docker/common.yml').filter(file => !file.endsWith('.build.yml'))] },
    { name: 'hadolint', argv: [join(tools, 'hadolint'), ...files('*Dockerfile')] },
    { name: 'shellcheck', argv: [join(tools, 'shellcheck'), ...shell] },
    { name: 'shell scripts are executable', argv: ['sh', '-c', 'for f; do case "$f" in *.sh|.ci/run) head -n1 "$f" | grep -q "^#!" || { echo "$f: no #!"; exit 1; } ;; esac; done', 'sh', ...shell] },
  ]
}
