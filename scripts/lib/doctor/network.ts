// What the doctor asks and says of the networks between visitors, this machine and the containers.
// The judges are pure.
import { lookup, resolve6 } from 'node:dns/promises'
import { readFile } from 'node:fs/promises'
import { BlockList, isIP, isIPv4 } from 'node:net'
import { listRoutedHosts } from './certificates.ts'
import { finding, type Finding } from './finding.ts'
import type { ComposeConfig, Stack } from '../compose/stack.ts'
import type { EngineInfo } from '../engine/engine.ts'
import { mtuOption, readProjectNetworks, type EngineNetwork } from '../engine/networks.ts'
import { isVersionAtLeast } from '../version.ts'

/** What is known of the way to the stack. */
export interface NetworkFacts {
  networks: EngineNetwork[]
  /** Of the interface of the default route; 0 where it cannot be told. */
  mtu: number
  /** Addresses that containers or the engine must reach, by what they are: a setting, a name server. */
  outside: { what: string; address: string }[]
  /** Hosts of the stack that have an IPv6 address. */
  reachedByIpv6: string[]
  hasIpv6: boolean
  /** Whether /etc/resolv.conf names a server: from Docker 28 on containers have no other. */
  hasNameServer: boolean
}

/** Asks the engine, the kernel and DNS. `values`: the env files'. */
export async function readNetworkFacts(
  { mode, project }: Stack,
  all: ComposeConfig,
  values: Record<string, string>,
): Promise<NetworkFacts> {
  const read = (file: string) => readFile(file, 'utf8').catch(() => '')
  const [networks, route, resolvers, addresses] = await Promise.all([
    readProjectNetworks(project),
    read('/proc/net/route'),
    read('/etc/resolv.conf'),
    read('/proc/net/if_inet6'),
  ])
  const [, device] = /^(\S+)\t00000000\t/m.exec(route) ?? []
  const hosts = mode === 'prod' ? listRoutedHosts(all) : []
  const [mtu, mail, reached] = await Promise.all([
    read(`/sys/class/net/${device}/mtu`),
    values.SMTP_HOST ? addressesOf(values.SMTP_HOST, all) : [],
    Promise.all(hosts.map(async host => ((await hasIpv6Address(host)) ? [host] : []))),
  ])
  const nameServers = [...resolvers.matchAll(/^nameserver\s+(\S+)/gm)].map(([, address = '']) => ({
    what: 'the name server',
    address,
  }))
  return {
    networks,
    mtu: Number(mtu) || 0,
    outside: [...mail.map(address => ({ what: 'SMTP_HOST', address })), ...nameServers],
    reachedByIpv6: reached.flat(),
    hasIpv6: addresses !== '',
    hasNameServer: nameServers.length > 0,
  }
}

/** A service of the stack is no host outside. */
const addressesOf = async (host: string, { services }: ComposeConfig): Promise<string[]> =>
  services[host]
    ? []
    : (await lookup(host, { all: true }).catch(() => [])).map(({ address }) => address)

const hasIpv6Address = async (host: string): Promise<boolean> =>
  (await resolve6(host).catch(() => [])).length > 0

/** Whether an address is in a subnet such as 172.18.0.0/16. */
function isWithin(address: string, subnet: string): boolean {
  const [base = '', prefix] = subnet.split('/')
  if (!isIP(address) || isIP(address) !== isIP(base)) return false
  const list = new BlockList()
  list.addSubnet(base, Number(prefix), isIPv4(base) ? 'ipv4' : 'ipv6')
  return list.check(address, isIPv4(address) ? 'ipv4' : 'ipv6')
}

/** Where packets are too large for the way out, or stay in a network of the stack's own. */
export function judgeNetworks({ networks, mtu, outside, hasNameServer }: NetworkFacts): Finding[] {
  const large = networks.filter(one => mtu && one.mtu > mtu)
  const hidden = networks.flatMap(({ name, subnets }) =>
    subnets.flatMap(subnet =>
      outside
        .filter(({ address }) => isWithin(address, subnet))
        .map(({ what, address }) => ({ what, address, subnet, name })),
    ),
  )
  return [
    ...(hasNameServer
      ? []
      : [
          finding(
            'machine',
            'warning',
            '/etc/resolv.conf names no name server: containers resolve no name of the outside (mail servers, registries of certificates)',
            'ls -l /etc/resolv.conf   (a broken link: sudo ln -sf ../run/systemd/resolve/stub-resolv.conf /etc/resolv.conf)',
          ),
        ]),
    ...(large.length
      ? [
          finding(
            'machine',
            'warning',
            `packets of ${large.map(({ name }) => name).join(', ')} may have ${large[0]?.mtu} bytes, the way out takes ${mtu}: TLS to some servers hangs`,
            `a further Compose file (make up's -f) that sets networks.<name>.driver_opts.${mtuOption}: "${mtu}"`,
          ),
        ]
      : []),
    ...hidden.map(({ what, address, subnet, name }) =>
      finding(
        'machine',
        'error',
        `${what} (${address}) is in ${subnet}, the subnet of ${name}: containers look for it in there`,
        'set other default-address-pools in /etc/docker/daemon.json, restart the engine, make down, make up',
      ),
    ),
  ]
}

const isRootless = ({ SecurityOptions }: EngineInfo): boolean =>
  Boolean(SecurityOptions?.some(option => option.includes('name=rootless')))

/** Who comes to the stack, and as whom; who else on this network does. */
export function judgeVisitors(
  { reachedByIpv6, hasIpv6 }: NetworkFacts,
  { services }: ComposeConfig,
  info: EngineInfo,
): Finding[] {
  const ports = Object.values(services).flatMap(one => one.ports ?? [])
  const isLocal = ports.some(({ host_ip: host }) => host?.startsWith('127.'))
  const limits = 'limits by address (log-ins, requests a minute) hit all of them together'
  const found: Finding[] = []
  if (isRootless(info))
    found.push(
      finding(
        'engine',
        'info',
        `the engine is rootless: all visitors come from one address, ${limits}`,
      ),
    )
  else if (reachedByIpv6.length)
    found.push(
      finding(
        'engine',
        'warning',
        `${reachedByIpv6.join(', ')} can be reached by IPv6, and all such visitors come from one address: ${limits}`,
        'remove their AAAA records, or put a proxy in front (EDGE_TRUSTED_PROXIES)',
      ),
    )
  if (!hasIpv6)
    found.push(finding('machine', 'info', 'this machine has no IPv6: it is reached by IPv4 alone'))
  if (isLocal && info.ServerVersion && !isVersionAtLeast(info.ServerVersion, '28'))
    found.push(
      finding(
        'engine',
        'info',
        `before Docker 28 machines on the same network segment can reach what is published on 127.0.0.1; this is ${info.ServerVersion}`,
        'upgrade the engine, or use a network that is yours alone',
      ),
    )
  return found
}
