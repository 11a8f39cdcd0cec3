// All that smoke can ask, whatever runs.
import { loadAppModules } from './app-modules.ts'
import type { SmokeCheck } from './checks.ts'
import { monitoringChecks } from './monitoring.ts'

export interface ListedCheck {
  name: string
  /** Asked only where the data is disposable. */
  writes: boolean
  /** The settings without which it is not asked. */
  needs: string[]
}

/** Every check, by the names that smoke reports; `only`: of these folders. */
export async function listChecks(only?: string[]): Promise<ListedCheck[]> {
  const folders = await loadAppModules<{ checks: SmokeCheck[] }>('smoke.ts', only)
  const products = folders.flatMap(({ folder, checks }) =>
    checks.map(({ name, writes = false, needs = [] }) => ({
      name: `${folder}: ${name}`,
      writes,
      needs,
    })),
  )
  const plain = (name: string): ListedCheck => ({ name, writes: false, needs: [] })
  return only
    ? products
    : [plain('health of each service'), ...products, ...Object.values(monitoringChecks).map(plain)]
}
