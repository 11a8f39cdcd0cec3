// PromQL expressions, read by Prometheus' own grammar for editors: what they name, and how they can
// be broken on purpose.
import { parser } from '@prometheus-io/lezer-promql'

type Node = ReturnType<typeof parser.parse>['topNode']

/** An expression with one thing changed. */
export interface Mutant {
  /** What was changed, with the place in the expression where that is not plain. */
  change: string
  expression: string
}

const turned: Record<string, string> = {
  Gtr: '<',
  Lss: '>',
  Gte: '<=',
  Lte: '>=',
  Eql: '!=',
  Neq: '==',
}

function nodesOf(expression: string, ...names: string[]): Node[] {
  const found: Node[] = []
  parser.parse(expression).iterate({
    enter: ({ name, node }) => void (names.includes(name) && found.push(node)),
  })
  return found
}

/** The places where an expression cannot be read, as text. */
export const findSyntaxErrors = (expression: string): string[] =>
  nodesOf(expression, '⚠').map(({ from }) => `at ${from}: ${expression.slice(from, from + 20)}`)

/** The names of the series that an expression selects. */
export const seriesNames = (expression: string): string[] => [
  ...new Set(
    nodesOf(expression, 'VectorSelector').flatMap(node => {
      const name = node.getChild('Identifier')
      return name ? [expression.slice(name.from, name.to)] : []
    }),
  ),
]

/** A selector as it is written, without a range; the series and the labels that it names. */
export interface Selector {
  text: string
  name: string
  labels: string[]
}

/** The selectors of an expression. */
export const findSelectors = (expression: string): Selector[] =>
  nodesOf(expression, 'VectorSelector').map(node => {
    const text = ({ from, to }: Node) => expression.slice(from, to)
    const name = node.getChild('Identifier')
    const matchers = node.getChild('LabelMatchers')?.getChildren('UnquotedLabelMatcher') ?? []
    const labels = matchers.flatMap(matcher => matcher.getChild('LabelName') ?? [])
    return { text: text(node), name: name ? text(name) : '', labels: labels.map(text) }
  })

/** For each aggregation the labels that it keeps; none for one without `by`. */
export const keptLabels = (expression: string): string[][] =>
  nodesOf(expression, 'AggregateExpr').map(node => {
    const by = node.getChild('AggregateModifier')
    const labels = by?.getChild('By') ? by.getChild('GroupingLabels') : null
    return labels?.getChildren('LabelName').map(({ from, to }) => expression.slice(from, to)) ?? []
  })

/** An expression in which every selector has one matcher more. */
export const withMatcher = (expression: string, matcher: string): string =>
  nodesOf(expression, 'VectorSelector').reduceRight((text, node) => {
    const [name, matchers] = [node.getChild('Identifier'), node.getChild('LabelMatchers')]
    const insert = (at: number, words: string) => text.slice(0, at) + words + text.slice(at)
    return matchers ? insert(matchers.from + 1, `${matcher},`) : insert(name!.to, `{${matcher}}`)
  }, expression)

/** An expression without one entry of the list between brackets that `list` is. */
function without(expression: string, list: Node, entry: Node, entries: Node[]): string {
  const text = ({ from, to }: Node) => expression.slice(from, to)
  const rest = entries.filter(({ from }) => from !== entry.from).map(text)
  const [open, close] = [expression[list.from], expression[list.to - 1]]
  const kept = rest.length || open === '(' ? `${open}${rest.join(', ')}${close}` : ''
  return expression.slice(0, list.from) + kept + expression.slice(list.to)
}

const withoutLabels = (expression: string): Mutant[] =>
  nodesOf(expression, 'AggregateModifier').flatMap(modifier => {
    const list = modifier.getChild('By') && modifier.getChild('GroupingLabels')
    const labels = list?.getChildren('LabelName') ?? []
    return labels.map(label => ({
      change: `without the label ${expression.slice(label.from, label.to)} at ${label.from}`,
      expression: without(expression, list!, label, labels),
    }))
  })

const withoutMatchers = (expression: string): Mutant[] =>
  nodesOf(expression, 'LabelMatchers').flatMap(list => {
    const matchers = list.getChildren('UnquotedLabelMatcher')
    return matchers.map(matcher => ({
      change: `without ${expression.slice(matcher.from, matcher.to)}`,
      expression: without(expression, list, matcher, matchers),
    }))
  })

const isConstant = (expression: string): boolean =>
  !nodesOf(expression, 'VectorSelector', 'FunctionCall').length

/** A comparison turned round, and its threshold ten times as high (10 for 0). */
function otherComparisons(expression: string): Mutant[] {
  return nodesOf(expression, 'BinaryExpr').flatMap(node => {
    const operator = node.firstChild?.nextSibling
    const [sign, right] = [operator && turned[operator.name], node.lastChild]
    if (!operator || !sign || !right) return []
    const change = (from: number, to: number, text: string) =>
      expression.slice(0, from) + text + expression.slice(to)
    const limit = expression.slice(right.from, right.to)
    const written = expression.slice(operator.from, right.to)
    return [
      {
        change: `${written} turned round`,
        expression: change(operator.from, operator.to, sign),
      },
      ...(isConstant(limit)
        ? [
            {
              change: `${written} ten times as high`,
              expression: change(right.from, right.to, limit === '0' ? '10' : `(10 * ${limit})`),
            },
          ]
        : []),
    ]
  })
}

/** Every way to break an expression that a test has to notice. */
export const mutantsOf = (expression: string): Mutant[] => [
  ...otherComparisons(expression),
  ...withoutLabels(expression),
  ...withoutMatchers(expression),
]
