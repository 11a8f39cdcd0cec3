// GitHub's expressions, as far as our workflows use them; anything else throws.

type Json = Record<string, any>

/** Whether GitHub takes a value for true. */
export const truthy = (value: unknown): boolean => Boolean(value)

/** A text with each ${{ … }} replaced by its value. */
export const fill = (text: unknown, context: Json): string =>
  String(text).replace(/\$\{\{(.*?)\}\}/g, (_, inner: string) =>
    String(evaluate(inner, context) ?? ''),
  )

/** The value of an expression, with or without its ${{ }}; a list of YAML stays what it is. */
export function evaluate(text: unknown, context: Json): unknown {
  if (typeof text !== 'string') return text
  const source = /^\s*\$\{\{(.*)\}\}\s*$/s.exec(text)?.[1] ?? text
  const tokens = source.match(/'(?:[^']|'')*'|==|!=|&&|\|\||[A-Za-z_][\w-]*(?:\.[\w-]+)*|\S/g) ?? []
  let at = 0
  const takes = (token: string) => tokens[at] === token && Boolean(++at)
  const refuse = (): never => {
    throw new Error(`Not known here: ${tokens[at] ?? 'the end'} in ${source}`)
  }
  const value = or()
  return at < tokens.length ? refuse() : value

  function or(): unknown {
    let left = and()
    while (takes('||')) left = either(left, and(), true)
    return left
  }
  function and(): unknown {
    let left = equal()
    while (takes('&&')) left = either(left, equal(), false)
    return left
  }
  function either(left: unknown, right: unknown, wanted: boolean): unknown {
    return truthy(left) === wanted ? left : right
  }
  function equal(): unknown {
    const left = primary()
    // texts are compared without regard to case
    const same = (right: unknown) =>
      String(left ?? '').toLowerCase() === String(right ?? '').toLowerCase()
    if (takes('==')) return same(primary())
    return takes('!=') ? !same(primary()) : left
  }
  function primary(): unknown {
    const token = tokens[at++] ?? refuse()
    if (token.startsWith("'")) return token.slice(1, -1).replaceAll("''", "'")
    if (token === 'true' || token === 'false') return token === 'true'
    if (token === 'fromJSON' && takes('(')) {
      const inner = or()
      return takes(')') ? JSON.parse(String(inner)) : refuse()
    }
    return /^[A-Za-z]/.test(token) && tokens[at] !== '('
      ? look(token.split('.'), context)
      : (at--, refuse())
  }
}

/**
 * Follows a path; what a person may leave unset, or an event may lack, is empty, anything else must
 * be there.
 */
function look([first, ...rest]: string[], context: Json): unknown {
  if (!(first! in context)) throw new Error(`There is no ${first} here`)
  const loose =
    ['vars', 'secrets', 'inputs'].includes(first!) || (first === 'github' && rest[0] === 'event')
  return rest.reduce((value: any, key) => {
    if (!loose && (Object(value) !== value || !(key in value)))
      throw new Error(`There is no ${[first, ...rest].join('.')}`)
    return value?.[key]
  }, context[first!])
}
