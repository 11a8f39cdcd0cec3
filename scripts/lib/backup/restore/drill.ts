// A restore that is tried: how long an accident would take, and whether a new release takes the data.
import { removeProject } from '../../compose/remove.ts'
import { stackOf, type Stack } from '../../compose/stack.ts'
import { emit, formatDuration, printResult } from '../../report.ts'
import { noteRestore } from '../health/record.ts'
import { restoreInto, type OpenBackup, type RestoreOptions } from './into-stack.ts'

/**
 * Restores a backup beside the stack, one application after the other, held back and as the Compose
 * files say now, and throws that away. Out: ms that it took; throws what a restore throws.
 */
export async function drill(
  backup: OpenBackup,
  stack: Pick<Stack, 'mode' | 'project'>,
  folders: string[],
  { up, files = [] }: Omit<RestoreOptions, 'live'>,
): Promise<number> {
  const { manifest } = backup
  const withData = manifest.databases.map(({ application }) => application)
  const chosen = withData.filter(name => !folders.length || folders.includes(name))
  const before = { ...process.env }
  Object.assign(process.env, { KGC_PROJECT: `${stack.project}-drill`, MONITORING: '0' })
  const beside = stackOf(stack.mode, files)
  const remove = () => removeProject(beside.project, true)
  let ms = 0
  try {
    await remove()
    for (const name of chosen) {
      const start = Date.now()
      await restoreInto(beside, backup, [name], { up, live: false, files })
      ms += Date.now() - start
      await remove()
    }
  } finally {
    await remove()
    for (const key of ['KGC_PROJECT', 'MONITORING']) {
      if (before[key] === undefined) delete process.env[key]
      else process.env[key] = before[key]
    }
  }
  await reportDrill(backup, chosen, ms)
  return ms
}

/** Says how long a drill of applications took, ms; of all that have data it is recorded. */
export async function reportDrill(
  { folder, manifest }: Pick<OpenBackup, 'folder' | 'manifest'>,
  chosen: string[],
  ms: number,
): Promise<void> {
  emit('result', { backup: manifest.name, ms })
  if (manifest.databases.every(({ application }) => chosen.includes(application)))
    await noteRestore(folder, manifest, ms)
  printResult(
    `${manifest.name} is back in ${formatDuration(ms)} (${chosen.join(', ')}); what was restored is thrown away again.`,
  )
}
