// Users, tokens and the one workspace, by the operations that upstream's sign-in page uses. The rules are the server's own:
// auth/services/sign-in-up.service, workspace/services/workspace.service, auth/auth.resolver (packages/twenty-server/src/engine/core-modules).
import { createHash, randomBytes } from 'node:crypto'
import { sleep } from '../../lib/process.mjs'
import { Complaint } from './complaint.mjs'

const hash = text => createHash('sha256').update(text).digest('hex')

/**
 * @param {{ pool: import('pg').Pool, mail: (name: string, data: object) => Promise<unknown> }} stores
 * @returns the public operations, and `signedIn`, which lets only the owner of a token of the kind through
 */
export function accounts({ pool, mail }) {
  const one = async (sql, values = []) => (await pool.query(sql, values)).rows[0]
  const workspace = () =>
    one(
      'SELECT id, display_name AS "displayName", activation_status AS "activationStatus" FROM core.workspace',
    )

  async function issue(kind, userId) {
    const token = randomBytes(24).toString('hex')
    await pool.query('INSERT INTO core.token (hash, kind, user_id) VALUES ($1, $2, $3)', [
      hash(token),
      kind,
      userId,
    ])
    return { token, expiresAt: new Date(Date.now() + 1_800_000).toISOString() }
  }

  const owner = async (kind, token = '') =>
    (await one('SELECT user_id FROM core.token WHERE hash = $1 AND kind = $2', [hash(token), kind]))
      ?.user_id

  const signedIn = (kind, work) => async (input, request) => {
    const userId = await owner(kind, request.headers.authorization?.replace(/^Bearer /, ''))
    if (!userId) throw new Complaint('Unauthenticated', 'UNAUTHENTICATED')
    return work(input, userId)
  }

  async function verify({ email, password }) {
    const user = await one('SELECT id, password FROM core."user" WHERE email = $1', [email])
    if (!user) throw new Complaint('User not found', 'USER_NOT_FOUND')
    if (user.password !== hash(password)) throw new Complaint('Wrong password', 'FORBIDDEN')
    return user.id
  }

  const tokens = async (kind, userId) => ({
    tokens: {
      accessOrWorkspaceAgnosticToken: await issue(kind, userId),
      refreshToken: await issue('refresh', userId),
    },
  })

  /** assertSignUpEnabled: one workspace, and once it is there, nobody else gets in without an invitation. */
  async function demandOpenDoor() {
    if (await workspace()) throw new Complaint('New workspace setup is disabled', 'SIGNUP_DISABLED')
  }

  /** signUpOnNewWorkspace: the name is the input's, nullable in the schema all the same. */
  async function newWorkspace({ input }, userId) {
    await demandOpenDoor()
    const name = input?.displayName?.trim()
    if (!name) throw new Complaint('Workspace name is required', 'INVALID_INPUT')
    // MaxLength of auth/dto/sign-up-in-new-workspace.input
    if (name.length > 100)
      throw new Complaint(
        'displayName must be shorter than or equal to 100 characters',
        'BAD_USER_INPUT',
      )
    const { id } = await one('INSERT INTO core.workspace (display_name) VALUES ($1) RETURNING id', [
      name,
    ])
    await pool.query('INSERT INTO core.user_workspace VALUES ($1, $2)', [userId, id])
    return {
      loginToken: await issue('login', userId),
      workspace: { id, workspaceUrls: { customUrl: null, subdomainUrl: '' } },
    }
  }

  /** activateWorkspace: makes the tables, once; the input's name is deprecated and not read. The row says where the workspace was made. */
  async function activate() {
    const { id, activationStatus } = await workspace()
    if (activationStatus === 'ONGOING_CREATION')
      throw new Complaint('Workspace is already being created', 'INTERNAL_SERVER_ERROR')
    if (activationStatus !== 'PENDING_CREATION')
      throw new Complaint('Workspace is not pending creation', 'INTERNAL_SERVER_ERROR')
    await pool.query(`UPDATE core.workspace SET activation_status = 'ONGOING_CREATION'`)
    await sleep(300)
    await pool.query(
      `INSERT INTO core."upgradeMigration" (name, status, "executedByVersion", "isInitial", "workspaceId")
      SELECT name, 'completed', "executedByVersion", true, $1 FROM core."upgradeMigration" WHERE "workspaceId" IS NULL ORDER BY "createdAt" DESC LIMIT 1`,
      [id],
    )
    await pool.query(`UPDATE core.workspace SET activation_status = 'ACTIVE'`)
    return workspace()
  }

  const operations = {
    async getPublicWorkspaceDataByDomain() {
      const found = await workspace()
      if (!found) throw new Complaint('Workspace not found', 'NOT_FOUND')
      return { id: found.id, displayName: found.displayName }
    },
    async signUp({ email, password }) {
      if (await one('SELECT 1 FROM core."user" WHERE email = $1', [email]))
        throw new Complaint('User already exists', 'USER_ALREADY_EXISTS')
      await demandOpenDoor()
      if (!/^.{8,50}$/.test(password)) throw new Complaint('Password too weak', 'INVALID_INPUT')
      // the first one in is the server's administrator
      const user = await one(
        `INSERT INTO core."user" (email, password, can_access_full_admin_panel)
         SELECT $1, $2, NOT EXISTS (SELECT 1 FROM core."user" WHERE can_access_full_admin_panel) RETURNING id`,
        [email, hash(password)],
      )
      await mail('welcome', { to: email })
      return tokens('agnostic', user.id)
    },
    signIn: async input => tokens('agnostic', await verify(input)),
    signUpInNewWorkspace: signedIn('agnostic', newWorkspace),
    async getLoginTokenFromCredentials(input) {
      const found = await workspace()
      if (!found) throw new Complaint('Workspace not found', 'WORKSPACE_NOT_FOUND')
      const userId = await verify(input)
      if (
        !(await one('SELECT 1 FROM core.user_workspace WHERE user_id = $1 AND workspace_id = $2', [
          userId,
          found.id,
        ]))
      )
        throw new Complaint('User is not part of the workspace', 'FORBIDDEN')
      return { loginToken: await issue('login', userId) }
    },
    async getAuthTokensFromLoginToken({ loginToken, origin }) {
      const userId = await owner('login', loginToken)
      if (!userId || !origin) throw new Complaint('Token invalid.', 'UNAUTHENTICATED')
      return tokens('access', userId)
    },
    currentWorkspace: signedIn('access', workspace),
    currentUser: signedIn('access', (_, userId) =>
      one(
        'SELECT id, email, can_access_full_admin_panel AS "canAccessFullAdminPanel" FROM core."user" WHERE id = $1',
        [userId],
      ),
    ),
    activateWorkspace: signedIn('access', activate),
  }
  return { operations, signedIn }
}
