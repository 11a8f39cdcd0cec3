// What is sent to Twenty's /metadata is what its schema takes, and the stand-in is no kinder than
// that schema.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { buildSchema, getOperationAST, getVariableValues, parse, validate } from 'graphql'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { createAdmin } from '../../infra/docker/twenty-crm/admin.ts'
import { checks } from '../../infra/docker/twenty-crm/smoke.ts'
import type { SmokeContext } from '../../scripts/lib/smoke/checks.ts'
import { repository } from '../sandbox.ts'

const test = suite('twenty')
const folder = join(repository, 'infra/demo/standin/apps/twenty')
const text = readFileSync(join(folder, 'metadata.graphql'), 'utf8')
const schema = buildSchema(text)

interface Question {
  query: string
  variables?: Record<string, unknown>
}

/** What graphql-js, which the server runs on, says against a question; '' when it takes it. */
function refusal({ query, variables = {} }: Question): string {
  const document = parse(query)
  const [first] = validate(schema, document)
  if (first) return first.message
  const given = getVariableValues(
    schema,
    getOperationAST(document)?.variableDefinitions ?? [],
    variables,
  )
  return given.errors?.[0]?.message ?? ''
}

/**
 * Every question that is put to /metadata while `work` runs; `status` and `exists` are what Twenty
 * says of its workspace.
 */
async function asked(
  work: (context: SmokeContext) => Promise<unknown>,
  status: string,
  exists: boolean,
  taken = false,
): Promise<Question[]> {
  const questions: Question[] = []
  let person = ''
  const token = {
    token: 'T',
    loginToken: { token: 'T' },
    tokens: { accessOrWorkspaceAgnosticToken: { token: 'T' } },
  }
  const refusalOf = (name: string) => {
    if (name === 'getPublicWorkspaceDataByDomain' && !exists) return 'Workspace not found'
    return name === 'signUp' && taken ? 'User already exists' : ''
  }
  const get = async (url: string, { body = '{}' } = {}) => {
    const question = JSON.parse(body) as Question
    if (url.endsWith('/metadata')) questions.push(question)
    person = /Smoke-\w+/.exec(body)?.[0] ?? person
    const says = (message: string) => ({ errors: [{ message }] })
    const name = /\{\s*(\w+)/.exec(question.query)?.[1] ?? ''
    const data =
      name === 'webhooks'
        ? []
        : { ...token, id: 'I', activationStatus: status, canAccessFullAdminPanel: true }
    if (name === 'activateWorkspace') status = 'ACTIVE'
    const wrong = refusalOf(name)
    return {
      status: 200,
      headers: new Headers(),
      ms: 0,
      body: JSON.stringify(wrong ? says(wrong) : { data: { [name]: data } }),
    }
  }
  const env = { ADMIN_EMAIL: 'a@kgc.hu', ADMIN_PASSWORD: 'Secret-123456' }
  const logs = async () => (person ? 'Twenty webhook received: undefined signature=valid' : '')
  // the administrator is made from inside, by curl with its configuration
  const exec = async (_: string, argv: string[], input = '') => {
    if (argv[0] !== 'curl') return 'S'
    const of = (key: string) =>
      JSON.parse(new RegExp(`^${key} = (.*)$`, 'm').exec(input)![1]!) as string
    const { body, status } = await get(of('url'), { body: of('data-raw') })
    return `${body}\n${status}`
  }
  await work({
    edge: { get, websocket: async () => '' },
    address: () => 'https://crm.kgc.hu',
    env,
    exec,
    logs,
    logCommand: () => '',
    disposable: true,
  } as SmokeContext)
  return questions
}

const admin = { email: 'a@kgc.hu', password: 'Secret-123456' }
const makes = (context: SmokeContext) => createAdmin(context, admin)

test('the workspace gets its name when it is made: the server refuses one without (twenty-client-sdk: activateWorkspace ignores it)', async () => {
  const made = (await asked(makes, 'PENDING_CREATION', false)).find(({ query }) =>
    query.includes('signUpInNewWorkspace'),
  )
  assert.equal(made?.variables, { input: { displayName: 'KGC' } })
})

test('the administrator is made from inside: nothing of it stands in an argument, whatever the password is', async () => {
  const admin = { email: 'a@kgc.hu', password: `a "quoted" \\ $word\nő'` }
  const seen: string[] = []
  const questions = await asked(
    ({ exec, ...context }) =>
      createAdmin(
        {
          ...context,
          edge: {
            get: () => Promise.reject(new Error('the edge is closed')),
            websocket: async () => '',
          },
          exec: (...call) => {
            seen.push(call[1].join(' '))
            return exec(...call)
          },
        },
        admin,
      ),
    'PENDING_CREATION',
    false,
  )
  assert.equal([...new Set(seen)], ['curl --silent --show-error --max-time 50 --config -'])
  assert.equal(questions.find(({ query }) => query.includes('signUp('))?.variables, admin)
})

test('every question of ours to /metadata fits the schema', async () => {
  const webhook = checks.find(({ name }) => name.includes('webhook'))!
  const questions = [
    ...(await asked(makes, 'PENDING_CREATION', false)),
    ...(await asked(makes, 'PENDING_CREATION', false, true)),
    ...(await asked(makes, 'PENDING_CREATION', true)),
    ...(await asked(context => webhook.run(context), 'ACTIVE', true)),
  ]
  const names = new Set(questions.map(({ query }) => /\{\s*(\w+)/.exec(query)![1]))
  assert.equal([...names].sort(), [
    'activateWorkspace',
    'createWebhook',
    'currentUser',
    'currentWorkspace',
    'getAuthTokensFromLoginToken',
    'getLoginTokenFromCredentials',
    'getPublicWorkspaceDataByDomain',
    'signIn',
    'signUp',
    'signUpInNewWorkspace',
    'webhooks',
  ])
  for (const question of questions) assert.is(refusal(question), '', question.query)
})

test('the stand-in refuses what the schema refuses: unknown fields and arguments, missing ones, values of another type', async () => {
  const { answer, readSchema } = await import(join(folder, 'graphql.mjs'))
  const own = (question: Question) =>
    answer(readSchema(text), question, async () => ({ id: 'I', activationStatus: 'ACTIVE' })).then(
      () => '',
      (error: Error) => error.message,
    )
  const workspace = (input: string) =>
    `mutation W { signUpInNewWorkspace(input: ${input}) { loginToken { token } } }`
  const wrong: Question[] = [
    { query: '{ currentWorkspace { name } }' },
    { query: '{ currentWorkspace }' },
    { query: '{ currentWorkspace { id { text } } }' },
    { query: '{ workspaces { id } }' },
    { query: workspace('{ name: "KGC" }') },
    { query: workspace('{ displayName: 1 }') },
    { query: 'mutation W { signUpInNewWorkspace(data: {}) { loginToken { token } } }' },
    { query: 'mutation A { activateWorkspace { id } }' },
    {
      query: 'mutation A($data: WorkspaceInput!) { activateWorkspace(data: $data) { id } }',
      variables: { data: {} },
    },
    {
      query: 'mutation A($data: ActivateWorkspaceInput) { activateWorkspace(data: $data) { id } }',
      variables: { data: {} },
    },
    {
      query: 'mutation A($data: ActivateWorkspaceInput!) { activateWorkspace(data: $data) { id } }',
      variables: {},
    },
    { query: 'mutation U { signUp(email: "a@kgc.hu") { tokens { refreshToken { token } } } }' },
    {
      query:
        'mutation U($email: String!) { signUp(email: $email, password: "x") { tokens { refreshToken { token } } } }',
      variables: { email: 1 },
    },
    {
      query: 'mutation H($input: CreateWebhookInput!) { createWebhook(input: $input) { id } }',
      variables: { input: { targetUrl: 'x' } },
    },
  ]
  for (const question of wrong) {
    assert.is.not(refusal(question), '', `graphql-js: ${question.query}`)
    assert.is.not(await own(question), '', question.query)
  }
  assert.is(
    await own({
      query: 'mutation A { activateWorkspace(data: {}) { id activationStatus __typename } }',
    }),
    '',
  )
})

test('the stand-in makes no workspace without a name, as the server does not, whatever the schema lets through', async () => {
  const { accounts } = await import(join(folder, 'accounts.mjs'))
  const rows = (sql: string) => {
    if (/FROM core.token/.test(sql)) return [{ user_id: 'U' }]
    return /^INSERT INTO core.workspace/.test(sql) ? [{ id: 'W' }] : []
  }
  const { operations } = accounts({ pool: { query: async (sql: string) => ({ rows: rows(sql) }) } })
  const make = (input?: object) =>
    operations.signUpInNewWorkspace({ input }, { headers: { authorization: 'Bearer T' } }).then(
      () => 'made',
      (error: Error) => error.message,
    )
  for (const input of [undefined, {}, { displayName: ' ' }])
    assert.is(await make(input), 'Workspace name is required')
  assert.is(await make({ displayName: 'KGC' }), 'made')
})

test.run()
