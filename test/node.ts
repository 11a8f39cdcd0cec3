// Which Node the tests run with. One that reads TypeScript by itself starts a script with a quarter
// of the processor time that tsx takes (0.13 s of 0.47 s), and needs no translation of each copy.
import { existsSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'

/** Where things that took long to fetch or to compile are kept. */
export const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'kgc-stack')

/** What fetches the Node that the demo's stand-ins run with. */
export const nodeOfDemo = join(import.meta.dirname, '../infra/demo/standin/node.sh')
/** The other Node versions that people run the scripts with; npm carries Node's own builds. */
export const nodes = [/^version=(\S+)/m.exec(readFileSync(nodeOfDemo, 'utf8'))![1]!, '24.9.0']
export const nodeFolder = (version: string): string => join(cache, `node-${version}`)
/** Their programs. */
export const otherNodes = nodes.map(version =>
  join(nodeFolder(version), `node_modules/node-linux-${process.arch}/bin/node`),
)

const alone = ['--disable-warning=ExperimentalWarning']
/** The words before a TypeScript file that this Node runs. */
export const readTypeScript = 'typescript' in process.features ? alone : ['--import=tsx']

/** Test files of what a person does with the Node of the machine: each way of starting a script, and whole stacks. */
const ofTheMachine = ['unit/scripts', 'compose/stack/stack', 'cluster/whole/whole']

/** The command that runs a test file of this name. */
export function nodeCommand(name: string): string[] {
  const fast = otherNodes.find(existsSync)
  return fast && !ofTheMachine.some(file => name === `${file}.test.ts`)
    ? [fast, ...alone]
    : [process.execPath, ...readTypeScript]
}
