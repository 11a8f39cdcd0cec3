// What restore.ts is told.
import { readFolders } from '../../backup/choose.ts'
import { stackModes } from '../../compose/stack.ts'

export interface RestoreArguments {
  identity?: string
  target?: string
  'drop-old'?: boolean
  'go-live'?: boolean
  drill?: boolean
  mask?: boolean
  yes?: boolean
  'stay-down'?: boolean
  certificates?: boolean
  'from-compose'?: string[]
  file?: string[]
  'env-file'?: string[]
  to?: string
  'while-running'?: boolean
  'accept-missing-files'?: boolean
}

/** The stack's mode, dev where none is named, and the applications' folders. */
export function readStackWords(words: string[]): {
  mode: string
  folders: string[]
  isNamed: boolean
} {
  const isNamed = stackModes().includes(words[0] ?? '')
  const [mode = 'dev', ...names] = isNamed ? words : ['dev', ...words]
  return { mode, folders: readFolders(names), isNamed }
}
