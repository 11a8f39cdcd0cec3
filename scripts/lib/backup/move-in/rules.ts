// How an application was kept by the stack that it moves in from: infra/docker/<folder>/move-in.yaml.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'
import { dockerFolder } from '../../repository.ts'

/** What move-in.yaml says. */
export interface MoveInRules {
  /** By service here, what it may be called there. */
  services: Record<string, string[]>
  /** By key of a volume here, the service (as it is called here) and the paths that have its files there; of two the later wins. */
  files?: Record<string, { service: string; paths: string[] }>
  /** By key of the env file here, where its value is there, and what it means when there is none. */
  values?: Record<string, { service: string; variable: string; absent?: string }>
  /** Data that this release does not read. */
  refuse?: { query: string; why: string; next: string }[]
  /** Finds a row when somebody has an account. */
  people?: string
}

/** The rules of an application; undefined for one that moves in from nowhere. */
export function readMoveInRules(folder: string): MoveInRules | undefined {
  const path = join(dockerFolder, folder, 'move-in.yaml')
  return existsSync(path) ? (parse(readFileSync(path, 'utf8')) as MoveInRules) : undefined
}
