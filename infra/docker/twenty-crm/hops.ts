// Version steps that Twenty does not survive.
import { isBefore, type Hop } from '../../../scripts/lib/deploy/hops.ts'

export const hops: Hop[] = [
  {
    image: /(^|\/)twenty$/,
    // https://docs.twenty.com/developers/self-hosting/upgrade-guide
    forbids: (from, to) =>
      isBefore(from, [1, 22, 0]) && (to[0] !== from[0] || to[1] > from[1] + 1)
        ? `Twenty before v1.22 goes one minor version at a time: v${from[0]}.${from[1] + 1} is next`
        : undefined,
  },
]
