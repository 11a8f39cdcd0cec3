// Prometheus' relabelling, as the operator's objects write it down.
type Labels = Record<string, string>
interface Relabeling {
  action?: string
  sourceLabels?: string[]
  regex?: string
  targetLabel?: string
  replacement?: string
}

/** What is left of the labels, those that begin with __ too; undefined for what is dropped. */
export function relabel(labels: Labels, steps: Relabeling[]): Labels | undefined {
  let now: Labels | undefined = { ...labels }
  for (const step of steps) now = now && applyStep(now, step)
  return now
}

function applyStep(labels: Labels, step: Relabeling): Labels | undefined {
  const { action = 'replace', sourceLabels = [], regex = '(.*)', replacement = '$1' } = step
  const pattern = new RegExp(`^(?:${regex})$`)
  if (action === 'labeldrop')
    return Object.fromEntries(Object.entries(labels).filter(([name]) => !pattern.test(name)))
  const found = pattern.exec(sourceLabels.map(name => labels[name] ?? '').join(';'))
  if (action === 'keep') return found ? labels : undefined
  if (action === 'drop') return found ? undefined : labels
  if (action !== 'replace') throw new Error(`action ${action} is not understood here`)
  if (!found) return labels
  const value = replacement.replace(/\$(\d)/g, (_, group: string) => found[Number(group)] ?? '')
  const { [step.targetLabel!]: _, ...others } = labels
  return value ? { ...others, [step.targetLabel!]: value } : others
}
