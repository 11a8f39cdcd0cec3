// Twenty's first administrator: in single-workspace mode the first user who signs up. The workspace
// that this creates closes sign-up.
import { pollUntilFound, type CreateAdmin } from '../../../scripts/lib/smoke/checks.ts'
import {
  ApiError,
  activateWorkspace,
  activationStatus,
  createWorkspace,
  requestInContainer,
  isServerAdmin,
  signIn,
  signUp,
  workspaceExists,
} from './api.ts'

/**
 * An interrupted run is gone on with: user, workspace and its tables are made where they are
 * missing.
 */
export const createAdmin: CreateAdmin = async (outside, { email, password }) => {
  const context = { ...outside, edge: { ...outside.edge, get: requestInContainer(outside) } }
  try {
    if (await workspaceExists(context)) return await enter()
    const token = await createWorkspace(context, await signUp(context, email, password), 'KGC')
    return ['signed up, the workspace KGC is made, sign-up is closed', await finish(token)]
      .filter(Boolean)
      .join('; ')
  } catch (error) {
    const { message } = error as Error
    if (!(error instanceof ApiError)) throw new Error(`${message}: is twenty-server healthy?`)
    throw new Error(
      `Twenty says "${message}"; the first user who signs up becomes the administrator, so ${context.address('crm')} stays closed`,
    )
  }

  async function enter(): Promise<string> {
    const token = await signIn(context, email, password).catch((error: Error) => {
      if (!(error instanceof ApiError)) throw error
    })
    if (!token)
      return 'the workspace was there already; this address and password do not sign in to it (it was changed since, or another user signed up first)'
    return ['was there already', await finish(token)].filter(Boolean).join('; ')
  }

  /** Sees to it that the workspace has its tables; returns what a person should know. */
  async function finish(token: string): Promise<string> {
    // it takes a minute on a slow disk, and the server goes on when nobody waits for it any more
    if ((await activationStatus(context, token)) === 'PENDING_CREATION')
      await activateWorkspace(context, token).catch((error: Error) => {
        if (error instanceof ApiError) throw error
      })
    const made = await pollUntilFound(
      async () => (/_CREATION$/.test(await activationStatus(context, token)) ? undefined : true),
      180,
    )
    if (!made)
      throw new Error("sign-up is closed, but the workspace's tables are not ready after 3 minutes")
    return (await isServerAdmin(context, token))
      ? ''
      : 'NOT the administrator of the server: somebody signed up before, see README "First administrator"'
  }
}
