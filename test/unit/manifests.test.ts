// What is read of a YAML text is what kubectl reads of it.
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { buildKustomization } from '../../scripts/lib/kubernetes/kustomize.ts'
import { root } from '../../scripts/lib/repository.ts'
import { environment, withFakeKubectl } from './fake-kubectl.ts'

const test = suite('manifests')

// kubectl 1.32.4 says this of texts with such values
const said = `{
    "apiVersion": "v1",
    "data": {
        "RELEASE": "13e9474",
        "SHORT": "4e5721",
        "separators": "a\\u2028b\u0085",
        "time": "1:30"
    },
    "kind": "ConfigMap",
    "metadata": {
        "name": "c"
    }
}
{
    "apiVersion": "v1",
    "data": {
        "true": "yes"
    },
    "kind": "ConfigMap",
    "metadata": {
        "name": "d"
    }
}
`

test('kubernetes-sigs/kustomize#4081, helm/helm#6921: kubectl reads what kustomize writes, and what it reads is what is sent', async () => {
  const { value, calls } = await withFakeKubectl(`cat <<'SAID'\n${said}SAID`, () =>
    buildKustomization(environment, 'infra/k8s/overlays/test'),
  )
  assert.equal(
    value!.map(({ data }) => data),
    [
      { RELEASE: '13e9474', SHORT: '4e5721', separators: 'a\u2028b\u0085', time: '1:30' },
      { true: 'yes' },
    ],
  )
  assert.equal(calls, [
    `patch --local --type merge --patch {} --output json --kustomize ${root}/infra/k8s/overlays/test`,
  ])
})

test('what kubectl cannot build is refused in its words', async () => {
  const { error } = await withFakeKubectl(
    `echo 'error: accumulating resources: ${root}/infra/a.yaml: line 3' >&2; exit 1`,
    () => buildKustomization(environment, 'infra'),
  )
  assert.equal(
    [error!.code, error!.what, error!.why],
    [2, 'Build infra', 'error: accumulating resources: infra/a.yaml: line 3'],
  )
})

test.run()
