// Where a masked copy may take the place of what is there.
import { dirname, relative } from 'node:path'
import { parse } from 'dotenv'
import { listProjectVolumes } from '../../compose/remove.ts'
import type { Stack } from '../../compose/stack.ts'
import { loadEnvValues } from '../../env/files.ts'
import { exit, Failure } from '../../errors.ts'
import type { Environment } from '../../kubernetes/environment.ts'
import { confirmByName } from '../../prompt.ts'
import { dockerFolder, root } from '../../repository.ts'
import type { BackupManifest } from '../manifest.ts'
import type { OpenBackup } from '../restore/into-stack.ts'
import { readSavedEnvFiles } from '../restore/ready.ts'

/** How somebody gets into a masked copy; `target` as scripts/admin.ts wants it. */
export const describeAccess = (target: string): string =>
  `no old password, token or session opens it: npx zx scripts/admin.ts ${target} makes an administrator of ADMIN_EMAIL and ADMIN_PASSWORD (docs/backup.md says where not)`

/**
 * Throws Failure (refused) where a masked copy would take the place of what it is a copy of, or of what
 * nobody has agreed to; `here` and `there` are the domains of the stack and of the backup.
 */
async function refuseMask(
  target: { name: string; here: string | undefined; there: string | undefined; hasData: boolean },
  yes: boolean,
): Promise<void> {
  const { name, here, there, hasData } = target
  const what = `Restore a masked copy into ${name}`
  if (here !== undefined && here === there)
    throw new Failure(exit.refused, what, `the backup is of this very stack: both are ${here}`, {
      next: 'the same command where the copy is to be: with another DOMAIN in its env files, or another environment',
    })
  if (hasData && !yes)
    await confirmByName(
      what,
      name,
      'it has data of its own',
      `Masked rows take the place of the data of ${name}, which is kept beside.\n`,
    )
}

/** Throws Failure (refused) where a masked copy has no business, and where the stack has no settings of its own. */
export async function refuseMaskedStack(
  { project, suffix }: Stack,
  { folder, manifest, identities }: OpenBackup,
  yes: boolean,
): Promise<void> {
  const { DOMAIN: here } = loadEnvValues(root, suffix.slice(1))
  const saved = await readSavedEnvFiles(folder, manifest, identities)
  const own = saved.find(({ name }) => dirname(name) === relative(root, dockerFolder))
  const { DOMAIN: there } = parse(own?.text ?? '')
  const hasData = (await listProjectVolumes(project)).length > 0
  await refuseMask({ name: project, here, there, hasData }, yes)
}

/** Throws Failure (refused) where a masked copy has no business. */
export async function refuseMaskedEnvironment(
  manifest: BackupManifest,
  { name, protected: isProtected }: Environment,
  yes: boolean,
): Promise<void> {
  if (isProtected)
    throw new Failure(exit.refused, `Restore a masked copy into ${name}`, 'it is protected', {
      next: 'the same command with the environment that the copy is for',
    })
  const there = manifest.engine === 'kubernetes' ? manifest.suffix.slice(1) : undefined
  await refuseMask({ name, here: name, there, hasData: true }, yes)
}
