// A stand whose scripts run as in a workflow's step, beside a stand-in for GitHub that knows their
// commits.
import { join } from 'node:path'
import { commit, initialize } from '../../git.ts'
import { gitHubStandIn } from '../../github.ts'
import { createTestEnvironment, type Shape } from './test-environment.ts'

export async function standAtGitHub(name: string) {
  const here = createTestEnvironment(name)
  const { box, env, start, write } = here
  const github = await gitHubStandIn()
  const summary = join(box.root, 'summary.md')
  const run = {
    GITHUB_RUN_ID: '5',
    GITHUB_SERVER_URL: 'https://github.com',
    GITHUB_STEP_SUMMARY: summary,
  }
  const step: Record<string, string> = { ...env, ...github.env, ...run }
  return {
    ...here,
    github,
    step,
    summary,
    /**
     * Writes the environment and commits it: GitHub records deployments of commits. Returns the
     * commit.
     */
    commit(shape: Shape = {}): string {
      write(shape)
      initialize(box.root)
      return commit(box.root, 'change', ['infra', 'scripts'])
    },
    /** Deploys while this process goes on answering as GitHub. */
    async deploy(argv: string[] = [], more: Record<string, string> = {}) {
      const deploy = start(['deploy', 'test', ...argv], { ...step, ...more })
      return { code: await deploy.code, said: deploy.said() }
    },
  }
}
