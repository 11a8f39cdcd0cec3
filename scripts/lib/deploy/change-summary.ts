// What the summary of a workflow's job says of a change.
import { addSummaryFacts, addSummaryLists } from '../job-summary.ts'
import { resourceId } from '../kubernetes/objects.ts'
import { readActor } from './actor.ts'
import { describeReleaseBackup } from './backup/step.ts'
import { isNoChange, type Change, type DeployRequest } from './change.ts'

/** What is known of it by now, for the summary of a workflow's job. */
export function updateJobSummary(
  known: DeployRequest & Partial<Pick<Change, 'facts' | 'plan' | 'release'>>,
  dry: boolean,
): void {
  const { environment, verb, plan, release, facts } = known
  const isRecorded = release && plan && facts && !isNoChange({ plan, facts })
  const planned = plan && {
    Created: plan.created,
    Changed: plan.changed,
    Runs: plan.jobs.map(resourceId),
    Removed: plan.removed.map(resourceId),
  }
  addSummaryFacts(
    {
      Environment: environment.name,
      Release: isRecorded ? `${release.number} (${release.what})` : undefined,
      Commit: release ? release.commit : facts?.commit,
      By: readActor(),
      Backup: describeReleaseBackup(release?.backup) || plannedBackup(plan),
    },
    `${verb === 'deploy' ? 'Deploy to' : 'Roll back'} ${environment.name}${dry ? ': the plan, nothing was touched' : ''}`,
  )
  addSummaryLists(planned ?? {})
}

const plannedBackup = (plan: Change['plan'] | undefined): string | undefined =>
  plan?.backup && plan.backup.off === undefined
    ? `${plan.backup.applications.join(', ')}: before its data is migrated`
    : undefined
