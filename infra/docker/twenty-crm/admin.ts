// Twenty's first administrator: in single-workspace mode the first one to sign up; the workspace that this makes closes the door.
import type { CreateAdmin } from '../../../scripts/lib/smoke/checks.ts'
import { Complaint, activateWorkspace, createWorkspace, signIn, signUp, workspaceExists } from './api.ts'

/** An interrupted run is gone on with: user, workspace and its tables are made where they are missing. */
export const createAdmin: CreateAdmin = async (context, { email, password }) => {
  try {
    if (await workspaceExists(context)) return await enter()
    const token = await createWorkspace(context, await signUp(context, email, password))
    await activateWorkspace(context, token, 'KGC')
    return 'signed up, the workspace KGC is made, sign-up is closed'
  } catch (error) {
    const { message } = error as Error
    if (!(error instanceof Complaint)) throw new Error(`${message}: is twenty-server healthy?`)
    throw new Error(`Twenty says "${message}". Sign up by hand at ${context.address('crm')}: the first one in becomes the administrator`)
  }

  async function enter(): Promise<string> {
    const token = await signIn(context, email, password).catch((error: Error) => {
      if (!(error instanceof Complaint)) throw error
    })
    if (!token) return 'the workspace was there already; this address and password do not sign in to it (changed since, or somebody else was first)'
    await activateWorkspace(context, token, 'KGC')
    return 'was there already'
  }
}
