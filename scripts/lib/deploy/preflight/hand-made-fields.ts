// Fields that somebody set by hand beside those of the release, so that the API server takes neither:
// a server-side apply removes only what is its own. Pure.
import { containerSpecsOf, selectWorkloads, type Manifest } from '../../kubernetes/objects.ts'

/** What the API server says where two fields exclude each other. */
const exclusionPattern =
  /(spec\.[\w.[\]]+): [^:]+:.*?may not (?:be specified when|specify more than)/

/**
 * In words that lead on: which field of `live` stands beside that of `wanted`; undefined when the
 * error is of another kind, or the release itself says both.
 */
export function explainHandMadeField(
  error: string,
  wanted: Manifest,
  live: Manifest,
): string | undefined {
  const field = exclusionPattern.exec(error)?.[1]
  if (!field) return undefined
  const what = `${wanted.kind} ${wanted.metadata.name}: `
  const target = `${wanted.kind.toLowerCase()}/${wanted.metadata.name}`
  const variable = findVariable(wanted, live)
  if (variable)
    return `${what}${variable.name} of ${variable.container} was set by hand, beside what the release says: \`kubectl set env ${target} --containers ${variable.container} ${variable.name}-\`, then the same command again`
  const hand = live.metadata.managedFields?.find(isSetByHand)
  if (!hand) return undefined
  const by = [hand.manager, hand.time?.slice(0, 10)].filter(Boolean).join(', ')
  return `${what}${field} was set by hand (${by}), beside what the release says: take it out by \`kubectl edit ${target.replace('/', ' ')}\`, then the same command again`
}

interface ManagedFields {
  manager?: string
  operation?: string
  subresource?: string
}

/** Whether a person's tool owns fields: controllers write status and scale, or say who they are. */
const isSetByHand = ({ manager = '', operation, subresource }: ManagedFields): boolean =>
  operation === 'Update' && !subresource && !/controller/.test(manager)

/** The variable that has a value on one side and comes from elsewhere on the other. */
function findVariable(
  wanted: Manifest,
  live: Manifest,
): { container: string; name: string } | undefined {
  if (selectWorkloads([wanted, live]).length < 2) return undefined
  const there = containerSpecsOf(live)
  return containerSpecsOf(wanted)
    .flatMap(({ name: container, env = [] }) => {
      const now = there.find(one => one.name === container)?.env ?? []
      return env
        .filter(ours => {
          const theirs = now.find(one => one.name === ours.name)
          return theirs && ((ours.valueFrom && theirs.value) || (ours.value && theirs.valueFrom))
        })
        .map(({ name }) => ({ container, name }))
    })
    .at(0)
}
