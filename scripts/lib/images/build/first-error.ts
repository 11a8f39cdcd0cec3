// The first error of a build, among all that its tools print afterwards. Pure.
import { stripVTControlCharacters } from 'node:util'

export interface BuildError {
  /**
   * The Dockerfile's step that failed, with its target where there are several: `kgc-web builder
   * 5/5: RUN …`; '' when none had begun.
   */
  step: string
  /** The first error, with the file that it is about. */
  error: string
  /** The lines that it stands in. */
  near: string[]
}

/** A line of a step; `by` is the package that Turborepo says it is of. */
interface BuildLine {
  by: string
  text: string
}

/**
 * Of how a tool says an error, the words with the file; undefined when these lines, of one package,
 * do not begin with one.
 */
type ErrorReader = (lines: string[]) => string | undefined

const toolReaders: ErrorReader[] = [
  // tsc, with and without `pretty`
  ([line = '']) => {
    const [, file, row, column, words] =
      /^(\S+?)[(:](\d+)[,:](\d+)\)?(?::| -) error (TS\d+: .*)/.exec(line) ?? []
    return file && `${file}:${row}:${column}: ${words}`
  },
  // esbuild, so tsup: the place comes below
  ([line = '', ...below]) => {
    const words = /^[✘X] \[ERROR\] (.*)/.exec(line)?.[1]
    const place = below.slice(0, 3).flatMap(one => /^\s+(\S+:\d+:\d+):/.exec(one)?.[1] ?? [])[0]
    return words && (place ? `${place}: ${words}` : words)
  },
  // rollup, so vite: it names the file within or below
  ([line = '', words, ...below]) => {
    if (line !== 'error during build:' || !words) return undefined
    const file = below.slice(0, 3).flatMap(one => /^file: (.*)/.exec(one)?.[1] ?? [])[0]
    return file && !/ from "/.test(words) ? `${file}: ${words}` : words
  },
  // pnpm; what it says of a script that failed is said better by the script
  ([line = '']) => (/ERR_PNPM_(?!RECURSIVE)/.test(line) ? line.trim() : undefined),
]

const genericReader: ErrorReader = ([line = '']) =>
  /(?:^|\s)(?:\w*error|fatal|npm ERR!)[:!]? \S/i.test(line) &&
  !/ELIFECYCLE|ERR_PNPM_RECURSIVE/.test(line)
    ? line.trim()
    : undefined

/** What a build said (`--progress plain`), in short. */
export function findFirstError(output: string): BuildError {
  const all = stripVTControlCharacters(output).split('\n')
  const [, number, docker] = all.map(line => /^#(\d+) ERROR: (.*)/.exec(line)).find(Boolean) ?? []
  if (!number)
    return {
      step: '',
      error: all.findLast(line => /^ERROR:|error:/i.test(line)) ?? 'it failed',
      near: all.slice(-20),
    }
  const own = all
    .filter(line => line.startsWith(`#${number} `) && !line.startsWith(`#${number} ERROR: `))
    .map(line => parseLine(line.replace(/^#\d+ (\d+\.\d+ ?)?/, '')))
  const title = own.find(({ text }) => text.startsWith('['))?.text ?? ''
  const step = title.replace(/^\[(.*?)\] /, '$1: ').slice(0, 120)
  const { at, words } = findErrorLine(own, toolReaders) ??
    findErrorLine(own, [genericReader]) ?? { at: Math.max(0, own.length - 8), words: docker! }
  return {
    step,
    error: words,
    near: own.slice(at, at + 8).map(({ by, text }) => (by ? `${by}: ${text}` : text)),
  }
}

function parseLine(line: string): BuildLine {
  const [, by = '', text = line] = /^(@?[\w.-]+(?:\/[\w.-]+)?):[a-z]\w*: ?(.*)$/.exec(line) ?? []
  return { by, text }
}

/** The first line at which one of the readers finds an error. */
function findErrorLine(
  lines: BuildLine[],
  readers: ErrorReader[],
): { at: number; words: string } | undefined {
  for (const [at, { by }] of lines.entries()) {
    const same = lines
      .slice(at, at + 40)
      .filter(line => line.by === by)
      .map(({ text }) => text)
    const words = readers.map(read => read(same)).find(Boolean)
    if (words) return { at, words: by ? `${by}: ${words}` : words }
  }
  return undefined
}
