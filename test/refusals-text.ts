// Turns an expression of the source into the text that it makes, with ‹names› for what is only
// known when it runs.

/** A node of the syntax tree. */
export type Node = Record<string, any> & { type: string }
/** What names stand for. */
export type Bindings = Map<string, Node>

/** Whether a node is a text, one with holes, or several that are joined. */
export const isText = (node: Node): boolean =>
  node.type === 'TemplateLiteral' ||
  (node.type === 'Literal' && typeof node.value === 'string') ||
  (node.type === 'BinaryExpression' && node.operator === '+' && isText(node.left))

const splitWords = (name: string): string => name.replace(/([a-z])([A-Z])/g, '$1 $2').toLowerCase()
const placeholder = (name: string): string => `<${splitWords(name)}>`
/** `describeLease` is called for a lease. */
const withoutVerb = (name: string): string =>
  name.replace(/^(describe|format|list|find|read|fetch|create|to)(?=[A-Z])/, '')
const only = (text: string): string =>
  /^<[^>]*>$/.test(text) ? text : (/<[^>]*>/.exec(text)?.[0] ?? text)

/** Methods of texts and lists that leave what it is about as it is. */
const keepers =
  /^(slice|trim|trimEnd|split|at|toISOString|replace|replaceAll|filter|sort|toSorted|flat|padEnd|toFixed|toString|find|pop|flatMap)$/

type Describer = (node: Node, bindings: Bindings, depth: number) => string

function describeFunctionCall(node: Node, bindings: Bindings, depth: number): string {
  const [first, second] = node.arguments as Node[]
  const name: string = node.callee.name ?? 'value'
  if (/^(String|lastLineOf)$/.test(name) && first) return describe(first, bindings, depth)
  if (name === 'kubectlArgv') return 'kubectl'
  if (name === 'kubectlCommand' && second) return `kubectl ${describe(second, bindings, depth)}`
  return placeholder(withoutVerb(name))
}

function describeMethodCall(node: Node, bindings: Bindings, depth: number): string {
  const [first] = node.arguments as Node[]
  const { object, property } = node.callee
  const subject = () => describe(object, bindings, depth)
  switch (property.name) {
    case 'map':
      return first?.body
        ? describe(first.body, bindings, depth)
        : placeholder(withoutVerb(first?.name ?? 'value'))
    case 'join':
      return first?.value === ' '
        ? subject()
        : `${subject()}${first?.value ?? ','} …`.replace(/ +/g, ' ')
    case 'stringify':
    case 'round':
    case 'relative':
      return describe(node.arguments.at(-1), bindings, depth)
    default:
      return keepers.test(property.name) ? only(subject()) : placeholder(withoutVerb(property.name))
  }
}

const isNumber = ({ type, value }: Node): boolean => type === 'Literal' && typeof value === 'number'

/** Two possibilities, of which one may be nothing. */
function joinChoices(first: string, second: string): string {
  if (!first || !second) return first || second ? `[${first || second}]` : ''
  return first === second ? first : `${first} or ${second}`
}

const describers: Record<string, Describer> = {
  Literal: ({ value }) => String(value),
  TemplateLiteral: ({ quasis, expressions }, bindings, depth) =>
    quasis
      .map((one: Node, i: number) => {
        const hole = expressions[i] as Node | undefined
        return one.value.cooked + (hole ? describeHole(hole, bindings, depth) : '')
      })
      .join(''),
  BinaryExpression: ({ operator, left, right }, bindings, depth) => {
    if (operator !== '+') return '<number>'
    const parts = [left, right].filter(one => !isNumber(one))
    return parts.map(one => describe(one, bindings, depth)).join('')
  },
  ConditionalExpression: ({ consequent, alternate }, bindings, depth) =>
    joinChoices(describe(consequent, bindings, depth), describe(alternate, bindings, depth)),
  LogicalExpression: ({ operator, left, right }, bindings, depth) => {
    const second = describe(right, bindings, depth)
    if (operator === '&&') return `[${second}]`
    const first = describe(left, bindings, depth)
    return first && second ? joinChoices(first, second) : first || second
  },
  Identifier: ({ name }, bindings, depth) => {
    const value = bindings.get(name)
    if (name === 'undefined') return ''
    if (!value || depth > 4) return placeholder(name)
    const inner = new Map(bindings)
    inner.delete(name)
    const text = describe(value, inner, depth + 1)
    return /^<[^>]*>$/.test(text) ? placeholder(name) : text
  },
  MemberExpression: ({ object, property, computed }, bindings, depth) => {
    if (computed) return only(describe(object, bindings, depth))
    if (property.name === 'length') return '<number>'
    const owner = property.name === 'name' && (object.property?.name ?? object.name)
    return owner ? placeholder(owner) : `<${property.name}>`
  },
  CallExpression: (node, bindings, depth) =>
    node.callee.type === 'MemberExpression'
      ? describeMethodCall(node, bindings, depth)
      : describeFunctionCall(node, bindings, depth),
  ArrayExpression: ({ elements }, bindings, depth) =>
    elements.map((one: Node) => describe(one, bindings, depth)).join(', '),
}

/** A hole of a text; two possibilities stand in parentheses. */
function describeHole(node: Node, bindings: Bindings, depth: number): string {
  const text = describe(node, bindings, depth)
  const { type } = (node.type === 'Identifier' && bindings.get(node.name)) || node
  const isChoice = /^(Conditional|Logical)Expression$/.test(type) && / or /.test(text)
  return isChoice && !text.startsWith('[') ? `(${text})` : text
}

function describe(node: Node, bindings: Bindings, depth: number): string {
  if (node.type in describers) return describers[node.type]!(node, bindings, depth)
  const inner = node.expression ?? node.argument
  return inner ? describe(inner, bindings, depth) : '<value>'
}

/** The text of an expression; `bindings` say what its names stand for. */
export const describeExpression = (node: Node, bindings: Bindings): string =>
  describe(node, bindings, 0)
