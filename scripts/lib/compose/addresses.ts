import type { ComposeConfig } from './stack.ts'

interface Address {
  service: string
  host: string
  url: string
}

/**
 * The public addresses of the stack by service, each once, read from the routers' rules, first host
 * only.
 */
export function publicAddresses(all: ComposeConfig, port: string): Address[] {
  const found = Object.entries(all.services).flatMap(([service, { labels }]) =>
    Object.entries(labels ?? {})
      .filter(([key]) => /^traefik\.http\.routers\.[\w-]+\.rule$/.test(key))
      .flatMap(([, rule]): Address[] => {
        const host = /Host\(`([^`]+)`\)/.exec(rule)?.[1]
        return host
          ? [{ service, host, url: `https://${host}${port === '443' ? '' : `:${port}`}` }]
          : []
      }),
  )
  return [...new Map(found.map(one => [one.url, one])).values()]
}
