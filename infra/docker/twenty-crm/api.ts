// Twenty's GraphQL, for its smoke checks and its first administrator. Signing in and settings are
// at /metadata, records at /graphql.
// The operations are those of upstream's own sign-in page, read in its source; here they have run
// against the demo's stand-in only.
import type { SmokeContext } from '../../../scripts/lib/smoke/checks.ts'

export interface ApiRequest {
  query: string
  variables?: Record<string, unknown>
  token?: string
}

/** What GraphQL complains about, in its own words. */
export class ApiError extends Error {}

/**
 * Asks through the edge and returns the one field that was asked for. Throws Complaint with
 * GraphQL's words, Error for anything else.
 */
export async function callApi<T>(
  { edge, address }: SmokeContext,
  path: '/metadata' | '/graphql',
  { query, variables = {}, token }: ApiRequest,
): Promise<T> {
  const { status, body } = await edge.get(`${address('crm')}${path}`, {
    method: 'POST',
    headers: {
      'Content-Type': 'application/json',
      ...(token ? { Authorization: `Bearer ${token}` } : {}),
    },
    body: JSON.stringify({ query, variables }),
    // making the workspace's tables takes a minute on a slow disk
    timeout: 180_000,
  })
  const answer = parse(body)
  if (answer?.errors?.length) throw new ApiError(answer.errors[0]!.message)
  if (!answer?.data) throw new Error(`${path} answered ${status} without GraphQL's data`)
  return Object.values(answer.data)[0] as T
}

/**
 * The server asked from inside its container, by the curl of its image: the edge serves nobody
 * before the administrator is there. What is sent, tokens and passwords among it, goes by standard
 * input alone.
 */
export const requestInContainer =
  ({ exec }: SmokeContext): SmokeContext['edge']['get'] =>
  async (url, { method = 'GET', headers = {}, body } = {}) => {
    const start = Date.now()
    const { pathname, search } = new URL(url)
    const quoted = (text: string) => `"${text.replace(/[\\"]/g, '\\$&').replaceAll('\n', '\\n')}"`
    const lines = [
      `url = ${quoted(`http://127.0.0.1:3000${pathname}${search}`)}`,
      `request = ${method}`,
      ...Object.entries(headers).map(([name, value]) => `header = ${quoted(`${name}: ${value}`)}`),
      ...(body === undefined ? [] : [`data-raw = ${quoted(body)}`]),
      'write-out = "\\n%{http_code}"',
    ]
    const said = await exec(
      'twenty-server',
      ['curl', '--silent', '--show-error', '--max-time', '50', '--config', '-'],
      `${lines.join('\n')}\n`,
    )
    const end = said.trimEnd().lastIndexOf('\n')
    return {
      status: Number(said.slice(end + 1)),
      headers: new Headers(),
      body: said.slice(0, end),
      ms: Date.now() - start,
    }
  }

interface Answer {
  data?: Record<string, unknown>
  errors?: { message: string }[]
}

function parse(body: string): Answer | undefined {
  try {
    return JSON.parse(body) as Answer
  } catch {
    return undefined
  }
}

interface Tokens {
  tokens: { accessOrWorkspaceAgnosticToken: { token: string } }
}
interface LoginToken {
  loginToken: { token: string }
}

/**
 * Whether the workspace is there; single-workspace mode refuses sign-up from then on. Reads only.
 */
export async function workspaceExists(context: SmokeContext): Promise<boolean> {
  const query =
    'query Workspace($origin: String!) { getPublicWorkspaceDataByDomain(origin: $origin) { id } }'
  try {
    await callApi(context, '/metadata', { query, variables: { origin: context.address('crm') } })
    return true
  } catch (error) {
    if (error instanceof ApiError && /workspace not found/i.test(error.message)) return false
    throw error
  }
}

/** Signs in to the workspace; returns its access token. */
export async function signIn(
  context: SmokeContext,
  email: string,
  password: string,
): Promise<string> {
  const query = `mutation Login($email: String!, $password: String!, $origin: String!) {
    getLoginTokenFromCredentials(email: $email, password: $password, origin: $origin) { loginToken { token } } }`
  const { loginToken } = await callApi<LoginToken>(context, '/metadata', {
    query,
    variables: { email, password, origin: context.address('crm') },
  })
  return accessToken(context, loginToken.token)
}

/** The access token that a login token is good for. */
async function accessToken(context: SmokeContext, loginToken: string): Promise<string> {
  const query = `mutation Tokens($loginToken: String!, $origin: String!) {
    getAuthTokensFromLoginToken(loginToken: $loginToken, origin: $origin) { tokens { accessOrWorkspaceAgnosticToken { token } } } }`
  const { tokens } = await callApi<Tokens>(context, '/metadata', {
    query,
    variables: { loginToken, origin: context.address('crm') },
  })
  return tokens.accessOrWorkspaceAgnosticToken.token
}

/**
 * Makes the user, on a server without any the administrator, or signs in one that was made before;
 * returns a token without a workspace.
 */
export async function signUp(
  context: SmokeContext,
  email: string,
  password: string,
): Promise<string> {
  const mutation = (name: string) =>
    `mutation User($email: String!, $password: String!) { ${name}(email: $email, password: $password) { tokens { accessOrWorkspaceAgnosticToken { token } } } }`
  const enter = (name: string) =>
    callApi<Tokens>(context, '/metadata', { query: mutation(name), variables: { email, password } })
  const { tokens } = await enter('signUp').catch((error: Error) => {
    if (error instanceof ApiError && /already exists/i.test(error.message)) return enter('signIn')
    throw error
  })
  return tokens.accessOrWorkspaceAgnosticToken.token
}

/**
 * Makes the workspace; returns its access token. Its name is set here and nowhere else: the server
 * refuses to make one without.
 */
export async function createWorkspace(
  context: SmokeContext,
  token: string,
  displayName: string,
): Promise<string> {
  const query =
    'mutation Workspace($input: SignUpInNewWorkspaceInput) { signUpInNewWorkspace(input: $input) { loginToken { token } } }'
  const { loginToken } = await callApi<LoginToken>(context, '/metadata', {
    query,
    variables: { input: { displayName } },
    token,
  })
  return accessToken(context, loginToken.token)
}

/**
 * Where the workspace stands: PENDING_CREATION until it is activated, ONGOING_CREATION while its
 * tables are made.
 */
export async function activationStatus(context: SmokeContext, token: string): Promise<string> {
  const found = await callApi<{ activationStatus: string }>(context, '/metadata', {
    query: '{ currentWorkspace { activationStatus } }',
    token,
  })
  return found.activationStatus
}

/** Fills the workspace with its tables. */
export async function activateWorkspace(context: SmokeContext, token: string): Promise<void> {
  const query =
    'mutation Activate($data: ActivateWorkspaceInput!) { activateWorkspace(data: $data) { id } }'
  await callApi(context, '/metadata', { query, variables: { data: {} }, token })
}

/**
 * Whether the one who is signed in is the server's administrator, which the first one to sign up
 * becomes.
 */
export async function isServerAdmin(context: SmokeContext, token: string): Promise<boolean> {
  const query = '{ currentUser { canAccessFullAdminPanel } }'
  return (
    await callApi<{ canAccessFullAdminPanel: boolean }>(context, '/metadata', { query, token })
  ).canAccessFullAdminPanel
}
