// What is read of a YAML text is what kubectl reads of it.
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { parseManifests } from '../../scripts/lib/kubernetes/kubectl.ts'
import { withFakeKubectl } from './fake-kubectl.ts'

const test = suite('manifests')

// kubectl 1.32.4 has said this of that
const written = `apiVersion: v1
data:
  RELEASE: 13e9474
  SHORT: 4e5721
  separators: "a\\Lb\\N"
  time: 1:30
kind: ConfigMap
metadata:
  name: c
---
apiVersion: v1
data:
  on: "yes"
kind: ConfigMap
metadata:
  name: d
`
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

test('kubernetes-sigs/kustomize#4081, helm/helm#6921: kubectl reads the text, and what it reads is what is sent', async () => {
  const body = `case "$*" in "patch --local --type merge --patch {} --filename - --output json") cat >asked; cmp -s asked - <<'END' && cat <<'SAID'
${written}END
${said}SAID
;; *) exit 1 ;; esac`
  const { value, error } = await withFakeKubectl(body, () => parseManifests(written, 'Build it'))
  assert.is(error, undefined)
  assert.equal(
    value!.map(({ data }) => data),
    [
      { RELEASE: '13e9474', SHORT: '4e5721', separators: 'a\u2028b\u0085', time: '1:30' },
      { true: 'yes' },
    ],
  )
})

test('what kubectl cannot read is refused in its words', async () => {
  const { error } = await withFakeKubectl(
    `echo 'error: error parsing STDIN: error converting YAML to JSON: yaml: line 3' >&2; exit 1`,
    () => parseManifests('a', 'Build it'),
  )
  assert.equal(
    [error!.code, error!.what, error!.why],
    [3, 'Build it', 'error: error parsing STDIN: error converting YAML to JSON: yaml: line 3'],
  )
})

test.run()
