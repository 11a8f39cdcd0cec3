// All faults, and the alerts that none provokes.
import { containers, stopped } from './containers.ts'
import type { Fault } from './fault.ts'
import { blind, monitoring } from './monitoring.ts'
import { stores } from './stores.ts'

/** Why an alert is not provoked. */
export const reasons: Record<string, string> = {
  CertificateExpiring: "the demo has Traefik's own certificate, which is valid for a year",
  HostDiskFilling: 'it looks back 6 hours',
  HostMemoryLow: 'it would take the memory of a machine that does other work',
  PrometheusStorageFailing: 'a disk that fails under Prometheus breaks what sees it',
}

/** Faults that are there at the same time; after each group everything is up again. */
export const groups: Record<string, Fault[]> = {
  running: [...stores, ...containers, ...monitoring],
  stopped,
  blind,
}
