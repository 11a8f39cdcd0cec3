// A kubeseal that only plays: it writes down what it is asked, and answers as the real one does.
// And SealedSecrets as they are before it comes.
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A public certificate without an owner, good until 2126. */
const good = `-----BEGIN CERTIFICATE-----
MIIBdTCCARugAwIBAgIUW7DW0LR0dHKRxkyKOUYHGLfnCMgwCgYIKoZIzj0EAwIw
DzENMAsGA1UEAwwEdGVzdDAgFw0yNjExMjUxNDM4NDlaGA8yMTI2MTEwMTE0Mzg0
OVowDzENMAsGA1UEAwwEdGVzdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABCXU
8J4dj4L94jeSFBZE9oy5RQV2LSiXWCdfmDwbwLydyxsbxArkTDp+TEO92MA6Hwr0
rZzKLT/SgmbDn7Xtqm+jUzBRMB0GA1UdDgQWBBRV4+3qQHGlaMFLAhzl3gU3yCN6
njAfBgNVHSMEGDAWgBRV4+3qQHGlaMFLAhzl3gU3yCN6njAPBgNVHRMBAf8EBTAD
AQH/MAoGCCqGSM49BAMCA0gAMEUCIDzaHGcSx7/odmLTolSvL00+aPMxCq//KbF6
VM1IUvONAiEA2UssQnqSFiQxd9ZKBt2GWUC9CjhN9L54Dw9bAv6BuDM=
-----END CERTIFICATE-----
`

const program = (log: string, pem: string) => `#!/usr/bin/env node
const fs = require('node:fs')
const argv = process.argv.slice(2)
fs.appendFileSync(${JSON.stringify(log)}, argv.join(' ') + '\\n')
if (argv.includes('--fetch-cert')) {
  if (process.env.NO_CLUSTER) console.error('error: cannot fetch certificate: no answer')
  else process.stdout.write(fs.readFileSync(${JSON.stringify(pem)}))
  process.exit(process.env.NO_CLUSTER ? 1 : 0)
}
const object = JSON.parse(fs.readFileSync(0, 'utf8'))
if (argv.includes('--validate')) {
  const good = Object.values(object.spec.encryptedData).every(text => text.startsWith('sealed-'))
  if (!good) console.error('error: unable to decrypt sealed secret: x')
  process.exit(good ? 0 : 1)
}
const encryptedData = Object.fromEntries(Object.entries(object.data).map(([key, text]) => [key, 'sealed-' + text.length]))
console.log(JSON.stringify({ spec: { encryptedData } }))
`

/**
 * Makes one; it goes with the process. `bin` is to be first on the PATH; with NO_CLUSTER set it
 * reaches no controller.
 */
export function kubeseal(): { bin: string; log: string; certificate: string } {
  const bin = mkdtempSync(join(tmpdir(), 'kgc-kubeseal-'))
  process.once('exit', () => rmSync(bin, { recursive: true, force: true }))
  const [log, certificate] = [join(bin, 'log'), join(bin, 'certificate.pem')]
  writeFileSync(log, '')
  writeFileSync(certificate, good)
  writeFileSync(join(bin, 'kubeseal'), program(log, certificate), { mode: 0o755 })
  return { bin, log, certificate }
}

/**
 * Empties the SealedSecrets in a folder, whatever a company has sealed there by now. Out: the
 * applications that they are of.
 */
export function emptySeals(folder: string): string[] {
  const names = readdirSync(folder).filter(name => name !== 'kustomization.yaml')
  for (const name of names)
    writeFileSync(
      join(folder, name),
      readFileSync(join(folder, name), 'utf8').replace(/^( {4}\w+): .*$/gm, '$1: ""'),
    )
  return names.map(name => name.replace('.yaml', ''))
}
