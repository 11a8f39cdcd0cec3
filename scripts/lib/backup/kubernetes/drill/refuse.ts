// What cannot be restored beside itself, known before anything is made.
import { exit, Failure } from '../../../errors.ts'
import { requestApi, requireApiSuccess } from '../../../kubernetes/api.ts'
import type { Environment } from '../../../kubernetes/environment.ts'
import type { Manifest } from '../../../kubernetes/objects.ts'
import { readList } from '../../../kubernetes/resources.ts'
import type { PlannedApplication } from '../../plan.ts'
import { findWaysOut } from './isolation.ts'
import { listClaimNames, selectDrilled } from './objects.ts'

const what = 'Try a restore'
const elsewhere = 'restore it in another cluster instead'

/** Throws Failure (refused) where a drill would reach something, or leave a copy of the data behind. */
export async function refuseUndrillable(
  environment: Environment,
  all: Manifest[],
  plans: PlannedApplication[],
): Promise<void> {
  for (const plan of plans) {
    const open = findWaysOut(all, plan.folder, selectDrilled(all, plan))
    if (open.length)
      throw new Failure(
        exit.refused,
        what,
        `${plan.folder} could send mail: the NetworkPolicy ${open.join(', ')} gives every pod a way`,
        { next: `name the pods that it is for by their labels, or ${elsewhere}` },
      )
  }
  const names = plans.flatMap(plan => listClaimNames(selectDrilled(all, plan)))
  const classes = await listStorageClasses(environment)
  const claims = all.filter(
    ({ kind, metadata }) => kind === 'PersistentVolumeClaim' && names.includes(metadata.name),
  )
  const reasons = claims.flatMap(one => describeKeptVolume(one, classes) ?? [])
  if (reasons.length)
    throw new Failure(exit.refused, what, reasons[0]!, {
      evidence: reasons.join('\n'),
      next: `${elsewhere}; there the StorageClass says reclaimPolicy: Delete`,
    })
}

async function listStorageClasses(environment: Environment): Promise<Manifest[]> {
  const answer = await requestApi(environment, '/apis/storage.k8s.io/v1/storageclasses')
  return readList(requireApiSuccess(environment, answer, 'Ask for the StorageClasses'))
}

/** Why a volume like that of a claim could not be made, or would stay. Pure. */
export function describeKeptVolume(
  { metadata: { name }, spec }: Manifest,
  classes: Manifest[],
): string | undefined {
  const { storageClassName: own } = spec as { storageClassName?: string }
  const found = classes.find(({ metadata }) => metadata.name === own)
  if (!found) return `${name}: nothing makes a second volume of the class ${own || "''"}`
  if (found.reclaimPolicy !== 'Retain') return undefined
  return `${name}: the class ${own} keeps the volumes of claims that are gone: a copy of the data would stay`
}
