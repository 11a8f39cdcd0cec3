// `forks.ts init`: the organisation's forks, and a small checkout of each.
import { Failure, exit } from '../errors.ts'
import type { GitHubRepository } from '../github/client.ts'
import { requireGitHubRepository } from '../github/environment-settings.ts'
import { readImageOwner, setOwnerCommand } from '../images/owner.ts'
import { emit, printResult, step } from '../report.ts'
import { root } from '../repository.ts'
import { checkOutCommit, isCheckedOut } from './checkout.ts'
import { confirmPublic } from './confirm.ts'
import type { Fork } from './definition.ts'
import {
  createForkRepository,
  findForkRepository,
  isNew,
  waitForRepository,
  type ForkRepository,
} from './fork-repository.ts'
import { runGit } from './git.ts'
import { withForksLock } from './lock.ts'
import { addressOf, findSubmodule, pinnedCommit, parseRepositoryAddress } from './submodules.ts'

interface InitPlan extends ForkRepository {
  commit: string
  /** `.gitmodules` names another address. */
  readdress: boolean
  checkedOut: boolean
}

/** Makes what is missing of each fork; `dry`: only says what that is. */
export async function runInitCommand(forks: Fork[], dry: boolean, yes: boolean): Promise<void> {
  const owner = requireOwnerName()
  const github = await requireGitHubRepository(root)
  const plans = await step('Look for the forks', () =>
    Promise.all(forks.map(fork => planInit(github, fork, owner))),
  )
  emit('plan', { forks: plans.map(describePlan) })
  if (dry) return printResult(plans.flatMap(describeSteps).join('\n') || 'Nothing to do.')
  const command = `npx zx scripts/forks.ts init ${forks.map(({ name }) => name).join(' ')}`
  await confirmPublic(plans.flatMap(describePublic), yes, command)
  await withForksLock(async () => {
    for (const plan of plans) await carryOut(github, plan)
  })
  emit('result', { forks: plans.map(describePlan) })
  const done = plans.flatMap(describeSteps).length
  printResult(done ? 'The forks are there: commit .gitmodules if it changed.' : 'Nothing to do.')
}

function requireOwnerName(): string {
  const { name } = readImageOwner(root)
  if (name) return name
  const why = 'whose the forks shall be is not set'
  throw new Failure(exit.usage, 'Choose the organisation', why, { next: setOwnerCommand() })
}

async function planInit(github: GitHubRepository, fork: Fork, owner: string): Promise<InitPlan> {
  const [there, commit, address] = await Promise.all([
    findForkRepository(github, fork, owner),
    pinnedCommit(fork),
    addressOf(fork),
  ])
  const checkedOut = await isCheckedOut(fork, there.url, commit)
  return { ...there, commit, readdress: address !== there.url, checkedOut }
}

const describePlan = ({ fork, found, commit, readdress, checkedOut }: InitPlan) => ({
  fork: fork.name,
  commit,
  create: !found,
  readdress,
  checkedOut,
})

const describePublic = ({ fork, found, owner, url }: InitPlan): string[] => {
  const { owner: upstream, repo } = parseRepositoryAddress(fork.upstream)
  return found ? [] : [`fork ${upstream}/${repo} into ${owner}: ${url}`]
}

const describeSteps = (plan: InitPlan): string[] => [
  ...describePublic(plan),
  ...(plan.readdress ? [`.gitmodules: ${plan.fork.path} comes from ${plan.url}`] : []),
  ...(plan.checkedOut ? [] : [`fetch ${plan.commit.slice(0, 12)} to ${plan.fork.path}`]),
]

async function carryOut(github: GitHubRepository, plan: InitPlan): Promise<void> {
  const { fork, found, url, commit, checkedOut, readdress } = plan
  if (!found) await step(`Fork ${fork.name}`, () => createForkRepository(github, plan))
  if (!checkedOut && (!found || isNew(found)))
    await step(`Wait for ${url}`, () => waitForRepository(url))
  if (readdress) await setAddress(fork, url)
  if (!checkedOut)
    await step(`Fetch ${commit.slice(0, 12)} of ${fork.name}`, () =>
      checkOutCommit(fork, url, commit),
    )
  await runGit(root, ['submodule', '--quiet', 'init', '--', fork.path])
  await runGit(root, ['submodule', '--quiet', 'sync', '--', fork.path])
}

async function setAddress(fork: Fork, url: string): Promise<void> {
  const { name } = await findSubmodule(fork)
  await runGit(root, ['config', '--file', '.gitmodules', `submodule.${name}.url`, url])
}
