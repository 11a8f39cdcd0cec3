// GitHub's expressions, evaluated by GitHub's own library. GitHub takes what is not there for
// empty; here it throws, unless a person or an event may leave it out.
import { data, Evaluator, Lexer, Parser } from '@actions/expressions'
import { replacer } from '@actions/expressions/data/replacer'
import { reviver } from '@actions/expressions/data/reviver'

type Json = Record<string, any>

/** Whether GitHub takes a value for true. */
export const truthy = (value: unknown): boolean => Boolean(value)

/** A text with each ${{ … }} replaced by its value. */
export const fill = (text: unknown, context: Json): string =>
  String(text).replace(/\$\{\{(.*?)\}\}/g, (_, inner: string) =>
    evaluateData(inner, context).coerceString(),
  )

/** The value of an expression, with or without its ${{ }}; a list of YAML stays what it is. */
export function evaluate(text: unknown, context: Json): unknown {
  if (typeof text !== 'string') return text
  const source = /^\s*\$\{\{(.*)\}\}\s*$/s.exec(text)?.[1] ?? text
  return JSON.parse(JSON.stringify(evaluateData(source, context), replacer))
}

function evaluateData(source: string, context: Json): data.ExpressionData {
  const { tokens } = new Lexer(source).lex()
  const expression = new Parser(tokens, Object.keys(context), []).parse()
  return new Evaluator(expression, toData(context) as data.Dictionary).evaluate()
}

class StrictDictionary extends data.Dictionary {
  override get(key: string): data.ExpressionData {
    return super.get(key) ?? fail(`There is no ${key} here`)
  }
}

const mayLack = ['vars', 'secrets', 'inputs', 'event']

function toData(value: unknown): data.ExpressionData {
  if (Object(value) !== value || Array.isArray(value))
    return JSON.parse(JSON.stringify(value ?? null), reviver)
  const pairs = Object.entries(value as Json).map(([key, inner]) => ({
    key,
    value: mayLack.includes(key) ? JSON.parse(JSON.stringify(inner), reviver) : toData(inner),
  }))
  return new StrictDictionary(...pairs)
}

function fail(why: string): never {
  throw new Error(why)
}
