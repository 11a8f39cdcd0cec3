// Users, tokens and the one workspace, by the operations that upstream's sign-in page uses.
import { createHash, randomBytes } from 'node:crypto'
import { Complaint } from './complaint.mjs'

const hash = text => createHash('sha256').update(text).digest('hex')

/**
 * @param {{ pool: import('pg').Pool, mail: (name: string, data: object) => Promise<unknown> }} stores
 * @returns the public operations, and `signedIn`, which lets only the owner of a token of the kind through
 */
export function accounts({ pool, mail }) {
  const one = async (sql, values = []) => (await pool.query(sql, values)).rows[0]
  const workspace = () => one('SELECT id, display_name AS "displayName", activation_status AS "activationStatus" FROM core.workspace')

  async function issue(kind, userId) {
    const token = randomBytes(24).toString('hex')
    await pool.query('INSERT INTO core.token (hash, kind, user_id) VALUES ($1, $2, $3)', [hash(token), kind, userId])
    return { token }
  }

  const owner = async (kind, token = '') => (await one('SELECT user_id FROM core.token WHERE hash = $1 AND kind = $2', [hash(token), kind]))?.user_id

  const signedIn = (kind, work) => async (input, request) => {
    const userId = await owner(kind, request.headers.authorization?.replace(/^Bearer /, ''))
    if (!userId) throw new Complaint('Unauthenticated', 'UNAUTHENTICATED')
    return work(input, userId)
  }

  async function verify({ email, password }) {
    const user = await one('SELECT id, password FROM core."user" WHERE email = $1', [email])
    if (!user) throw new Complaint('User not found', 'USER_NOT_FOUND')
    if (user.password !== hash(password ?? '')) throw new Complaint('Wrong password', 'FORBIDDEN')
    return user.id
  }

  const tokens = async userId => ({ tokens: { accessOrWorkspaceAgnosticToken: await issue('agnostic', userId) } })

  /** One workspace: once it is there, nobody else gets in without an invitation. */
  async function demandOpenDoor() {
    if (await workspace()) throw new Complaint('New workspace setup is disabled', 'SIGNUP_DISABLED')
  }

  const operations = {
    async getPublicWorkspaceDataByDomain() {
      const found = await workspace()
      if (!found) throw new Complaint('Workspace not found', 'NOT_FOUND')
      return { id: found.id, displayName: found.displayName }
    },
    async signUp({ email, password }) {
      if (await one('SELECT 1 FROM core."user" WHERE email = $1', [email])) throw new Complaint('User already exists', 'USER_ALREADY_EXISTS')
      await demandOpenDoor()
      if (!/^.{8,50}$/.test(password ?? '')) throw new Complaint('Password too weak', 'INVALID_INPUT')
      // the first one in is the server's administrator
      const user = await one(
        `INSERT INTO core."user" (email, password, can_access_full_admin_panel)
         SELECT $1, $2, NOT EXISTS (SELECT 1 FROM core."user" WHERE can_access_full_admin_panel) RETURNING id`, [email, hash(password)])
      await mail('welcome', { to: email })
      return tokens(user.id)
    },
    signIn: async input => tokens(await verify(input)),
    signUpInNewWorkspace: signedIn('agnostic', async (_, userId) => {
      await demandOpenDoor()
      const { id } = await one('INSERT INTO core.workspace DEFAULT VALUES RETURNING id')
      return { loginToken: await issue('login', userId), workspace: { id } }
    }),
    async getLoginTokenFromCredentials(input) {
      if (!(await workspace())) throw new Complaint('Workspace not found', 'NOT_FOUND')
      return { loginToken: await issue('login', await verify(input)) }
    },
    async getAuthTokensFromLoginToken({ loginToken, origin }) {
      const userId = await owner('login', loginToken)
      if (!userId || !origin) throw new Complaint('Token invalid.', 'UNAUTHENTICATED')
      return { tokens: { accessOrWorkspaceAgnosticToken: await issue('access', userId) } }
    },
    currentWorkspace: signedIn('access', workspace),
    activateWorkspace: signedIn('access', ({ displayName = '' }) =>
      one(`UPDATE core.workspace SET display_name = $1, activation_status = 'ACTIVE' RETURNING id, activation_status AS "activationStatus"`, [displayName])),
  }
  return { operations, signedIn }
}
