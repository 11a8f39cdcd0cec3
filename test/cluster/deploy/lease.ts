// The lock's Lease as a test needs it: of a holder that nobody here can ask.
import { kubectl } from '../cluster.ts'

const patchLease = (space: string, patch: object): string =>
  kubectl([
    ...['patch', 'lease', 'kgc-deploy', '--namespace', space],
    ...['--type', 'merge', '--patch', JSON.stringify(patch)],
  ])

/** Nobody on this machine can tell any more that the lock's process has ended. */
export const moveLeaseToAnotherMachine = (space: string): string =>
  patchLease(space, { metadata: { annotations: { 'kgc.hu/machine': 'another' } } })

/** The lease was renewed at this time (ms), and with `seconds` lasts so long from then on. */
export const renewLeaseAt = (space: string, ms: number, seconds?: number): string =>
  patchLease(space, {
    spec: {
      renewTime: new Date(ms).toISOString().replace('Z', '000Z'),
      ...(seconds === undefined ? {} : { leaseDurationSeconds: seconds }),
    },
  })
