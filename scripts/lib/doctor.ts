import { Failure, exit } from './errors.ts'
export interface Finding { area: string; severity: 'error' | 'warning' | 'info'; what: string; next: string }
export async function examine(environment: string): Promise<Finding[]> {
  throw new Failure(exit.bug, `Examine ${environment}`, 'not written yet')
}
