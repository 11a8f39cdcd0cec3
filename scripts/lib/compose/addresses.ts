import type { Config } from './compose.ts'

/** The public addresses of the stack by service, read from the routers' rules, first host only. */
export function addresses(all: Config, port: string): { service: string; host: string; url: string }[] {
  return Object.entries(all.services).flatMap(([service, { labels }]) =>
    Object.entries(labels ?? {})
      .filter(([key]) => /^traefik\.http\.routers\.[\w-]+\.rule$/.test(key))
      .flatMap(([, rule]) => {
        const host = /Host\(`([^`]+)`\)/.exec(rule)?.[1]
        return host ? [{ service, host, url: `https://${host}${port === '443' ? '' : `:${port}`}` }] : []
      }),
  )
}
