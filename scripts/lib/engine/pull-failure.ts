// What the words mean in which registries, engines and nodes say that an image was not pulled.

export type PullFailure =
  | 'platform'
  | 'proxy'
  | 'limit'
  | 'disk'
  | 'clock'
  | 'certificate'
  | 'unencrypted'
  | 'name'
  | 'content'
  | 'denied'
  | 'missing'
  | 'registry'
  | 'silent'

/**
 * By the words of containerd, Docker, CRI-O, Go and the registries. The first that fits counts: a
 * proxy asks for its authentication, too, and a mirror that fails has a status of its own.
 */
const signs: [PullFailure, RegExp][] = [
  ['platform', /no match for platform|no matching manifest for/],
  ['proxy', /proxy authentication required|proxyconnect/i],
  ['limit', /toomanyrequests|too many requests|rate limit/i],
  ['disk', /no space left on device|disk quota exceeded/i],
  ['clock', /certificate has expired or is not yet valid/],
  ['certificate', /x509: |certificate signed by|failed to verify certificate/],
  ['unencrypted', /server gave HTTP response to HTTPS client/],
  ['name', /no such host|server misbehaving|name resolution/i],
  ['content', /unexpected commit (digest|size)|failed size validation|failed commit on ref/],
  [
    'denied',
    /denied|unauthorized|authorization failed|forbidden|authentication required|no basic auth|status(?: code)?:? 40[13]/i,
  ],
  ['missing', /not found|manifest unknown|name unknown|does not exist/i],
  [
    'registry',
    /internal server error|bad gateway|service unavailable|gateway time-?out|status(?: code)?:? 5\d\d/i,
  ],
]

/** An image's name says nothing of why it was not pulled. */
const withoutImages = (text: string): string => text.replace(/(image )?"[^"\s]*\/[^"\s]*"/g, '')

/**
 * Why an image was not pulled, by what has been said of it, and the text that says so; `silent`
 * when none does.
 */
export function findPullFailure(texts: string[]): { kind: PullFailure; text: string } {
  for (const [kind, sign] of signs) {
    const text = texts.find(one => sign.test(withoutImages(one)))
    if (text !== undefined) return { kind, text }
  }
  return { kind: 'silent', text: texts.filter(Boolean).at(-1) ?? '' }
}
