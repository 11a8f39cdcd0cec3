// The networks that the engine has made for a stack.
import { run } from '../run.ts'

/** A network of the engine. */
export interface EngineNetwork {
  name: string
  subnets: string[]
  mtu: number
}

interface InspectedNetwork {
  Name: string
  Options?: Record<string, string> | null
  IPAM?: { Config?: { Subnet?: string }[] | null }
}

export const mtuOption = 'com.docker.network.driver.mtu'

/** The networks of a Compose project; none where the engine does not say. */
export async function readProjectNetworks(project: string): Promise<EngineNetwork[]> {
  const filter = ['--filter', `label=com.docker.compose.project=${project}`]
  const ids = (await run(['docker', 'network', 'ls', '-q', ...filter], { nothrow: true })).stdout
  if (!ids.trim()) return []
  const argv = ['docker', 'network', 'inspect', ...ids.trim().split('\n')]
  const { code, stdout } = await run(argv, { nothrow: true })
  return code === 0 ? (JSON.parse(stdout) as InspectedNetwork[]).map(describeNetwork) : []
}

const describeNetwork = ({ Name, Options, IPAM }: InspectedNetwork): EngineNetwork => ({
  name: Name,
  subnets: (IPAM?.Config ?? []).flatMap(({ Subnet }) => Subnet ?? []),
  mtu: Number(Options?.[mtuOption] ?? 1500),
})
