// Names the problems of a machine and its stack, or of a cluster (scripts/bootstrap.ts --doctor).
import { exit } from '../errors.ts'
import { finding, type Finding } from '../doctor/finding.ts'
import { root } from '../repository.ts'
import { color, emit, printResult, say, table } from '../report.ts'

const symbols = { error: '✘', warning: '!', info: '·' }

/** Examines this machine and the stack of an environment; the exit code. */
export async function runDoctorCommand(environment = 'dev', bundle = false): Promise<number> {
  const { examineMachine } = await import('../doctor/doctor.ts')
  const { examineBackups } = await import('../backup/health/doctor.ts')
  const ofMachine = await examineMachine(environment).catch((error: Error) => {
    if (!bundle) throw error
    // a report is wanted most where even the doctor gets no answer
    return [finding('engine', 'error', `the doctor came to no end: ${error.message}`)]
  })
  const findings = [...ofMachine, ...(await examineBackups(environment))]
  const code = reportFindings(findings, environment)
  if (bundle) {
    const { writeBundle } = await import('../doctor/bundle.ts')
    say(
      `Written: ${await writeBundle(environment, root, findings)}   (read it before you give it away)`,
    )
  }
  return code
}

/** Examines the cluster of an environment, or of kubectl's current context; the exit code. */
export async function runClusterDoctorCommand(environment: string | undefined): Promise<number> {
  const { examineCluster } = await import('../doctor/cluster/facts.ts')
  const { findings, name } = await examineCluster(environment)
  return reportFindings(findings, name)
}

function reportFindings(findings: Finding[], environment: string): number {
  const count = (severity: string) => findings.filter(one => one.severity === severity).length
  const [errors, warnings, information] = ['error', 'warning', 'info'].map(count)
  for (const one of findings) emit('finding', one)
  emit('result', { environment, errors, warnings, information })
  const rows = findings.flatMap(({ area, severity, what, next }) => [
    [symbols[severity], area, what],
    ...(next ? [['', '', `→ ${next}`]] : []),
  ])
  printResult(table([['', 'area', environment], ...rows]))
  if (!errors && !warnings) {
    say(color.green('Nothing is wrong.'))
    return exit.done
  }
  say(color.red(`errors: ${errors}, warnings: ${warnings}`))
  return exit.refused
}
