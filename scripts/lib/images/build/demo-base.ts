// The base image of the demo, which infra/demo/base/build.sh makes of Debian's packages.
import { run } from '../../run.ts'
import { registryHostOf } from '../reference.ts'
import { isRegistryReachable } from '../registry/client.ts'

/** Whether the base image is not here and no registry has the one that it stands in for. */
export async function mustBuildDemoBase(): Promise<boolean> {
  const here = await run(['docker', 'image', 'inspect', 'kgc-demo/base:trixie'], {
    nothrow: true,
    timeout: 10_000,
  })
  return here.code !== 0 && !(await isRegistryReachable(registryHostOf('debian')))
}
