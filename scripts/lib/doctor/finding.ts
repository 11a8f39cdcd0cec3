// One thing that the doctor says.

export type Severity = 'error' | 'warning' | 'info'
type Area =
  | 'machine'
  | 'engine'
  | 'env files'
  | 'images'
  | 'containers'
  | 'volumes'
  | 'certificates'
  | 'monitoring'
  | 'backups'
  | 'cluster'
  | 'rights'

export interface Finding {
  area: Area
  severity: Severity
  what: string
  /** The one command that fixes it; '' when there is nothing to fix. */
  next: string
}

export const finding = (area: Area, severity: Severity, what: string, next = ''): Finding => ({
  area,
  severity,
  what,
  next,
})
