// What the doctor says of the addresses under which people reach the stack. Pure.
import { finding, type Finding } from './finding.ts'

/** Names that stand for no host on the internet, so that nobody public signs them. */
const privateNames =
  /(^|\.)(localhost|local|internal|intranet|lan|home|corp|private|test|invalid|example|home\.arpa)$/i

/** Whether a public certificate authority could sign a host's name. */
export const isSignable = (host: string): boolean =>
  host.includes('.') && !/(^|\.)\d+$/.test(host) && !privateNames.test(host)

/** `domain` and the rest are the env files' values; in production Let's Encrypt signs unless another is named. */
export function judgeAddresses(mode: string, values: Record<string, string>): Finding[] {
  const { DOMAIN = '', HTTP_PORT = '80', HTTPS_PORT = '443', URL_PORT = '' } = values
  const authority = values.ACME_CA_SERVER || 'https://acme-v02.api.letsencrypt.org/directory'
  const found: Finding[] = []
  if (mode === 'prod' && authority.includes('.letsencrypt.org/') && !isSignable(DOMAIN))
    found.push(
      finding(
        'certificates',
        'error',
        `no public certificate authority signs ${DOMAIN}: production wants a registered domain`,
        'set DOMAIN in infra/docker/.env (or ACME_CA_SERVER to an authority of your own), then make env',
      ),
    )
  if (mode === 'prod' && HTTP_PORT !== '80')
    found.push(
      finding(
        'certificates',
        'info',
        `the certificate authority asks port 80 of each host, and HTTP_PORT is ${HTTP_PORT}: certificates come only where port 80 is led there`,
        'set HTTP_PORT=80 in infra/docker/.env, then make env',
      ),
    )
  if ((URL_PORT.slice(1) || '443') !== HTTPS_PORT)
    found.push(
      finding(
        'machine',
        'info',
        `addresses name port ${URL_PORT.slice(1) || '443'}, and HTTPS_PORT is ${HTTPS_PORT}: they work only where the one is led to the other`,
        `set URL_PORT=${HTTPS_PORT === '443' ? '' : `:${HTTPS_PORT}`} in infra/docker/.env, then make env`,
      ),
    )
  return found
}
