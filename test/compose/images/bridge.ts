// Where this machine is reached from a container.

/** What `docker network inspect` says of a network's addresses. */
export interface Ipam {
  Config: { Subnet: string; Gateway?: string }[]
}

/**
 * The machine's IPv4 address on a bridge. An engine that has not been restarted since it made its
 * bridge names none: it took the subnet's first then.
 * Throws when the bridge has no IPv4.
 */
export function addressOf({ Config }: Ipam): string {
  const config = Config.find(({ Subnet }) => /^\d+(\.\d+){3}\//.test(Subnet))
  if (!config) throw new Error(`Docker's bridge has no IPv4: ${JSON.stringify(Config)}`)
  return (
    config.Gateway || config.Subnet.replace(/(\d+)\/\d+$/, (_, last) => String(Number(last) + 1))
  )
}
