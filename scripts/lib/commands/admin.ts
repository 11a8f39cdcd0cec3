// Creates the first administrators (scripts/admin.ts).
import { exit, Failure } from '../errors.ts'
import { emit, printResult, say, step } from '../report.ts'
import { loadAppModules } from '../smoke/app-modules.ts'
import type { Admin, CreateAdmin, SmokeTarget } from '../smoke/checks.ts'
import { stackModes } from '../compose/stack.ts'
import { createTarget } from '../smoke/target.ts'

interface AdminArguments {
  values: { target?: string }
  positionals: string[]
}

/** Makes the first administrator of each application that is named, or of all. */
export async function runAdminCommand({ values, positionals }: AdminArguments): Promise<void> {
  const named = values.target === 'kubernetes' || stackModes().includes(positionals[0] ?? '')
  const target = await createTarget(values.target, named ? positionals.shift() : undefined)

  // Pre-flight: nothing is touched.
  const folders = await loadAppModules<{ createAdmin: CreateAdmin }>('admin.ts', positionals)
  const admin = readAdmin(target)
  await target.requireRunning()

  // Impact.
  const failed: string[] = []
  for (const { folder, createAdmin } of folders)
    await createAdminOf(target, folder, createAdmin, admin).catch((error: Error) =>
      failed.push(`${folder}: ${error.message}`),
    )
  if (failed.length)
    throw new Failure(
      exit.broken,
      'Make the administrators',
      `${failed.length} of ${folders.length} failed`,
      { evidence: failed.join('\n'), next: 'the same command again; what is made stays' },
    )
  printResult(
    `${admin.email} can log in; the first password is ADMIN_PASSWORD in ${target.envFile}: change it in the applications.`,
  )
}

function readAdmin(target: SmokeTarget): Admin {
  const { ADMIN_EMAIL: email, ADMIN_PASSWORD: password } = target.context('').env
  if (email && password) return { email, password }
  throw new Failure(
    exit.usage,
    'Read the administrator',
    `${email ? 'ADMIN_PASSWORD' : 'ADMIN_EMAIL'} is empty in ${target.envFile}`,
    { next: 'set it there, then the same command again' },
  )
}

async function createAdminOf(
  target: SmokeTarget,
  folder: string,
  createAdmin: CreateAdmin,
  admin: Admin,
): Promise<void> {
  const words = await step(`Administrator of ${folder}`, () =>
    createAdmin(target.context(folder), admin),
  )
  const detail = [words, await target.open(folder)].filter(Boolean).join('; ')
  say(`  ${detail}`)
  emit('admin', { folder, detail })
}
