// A strict stand-in for Loki, whose image needs a registry: it obeys Loki's own configuration file, and refuses what Loki refuses.
// Usage: main.mjs -config.file=FILE | -health
import { readFileSync, statfsSync } from 'node:fs'
import { parse } from 'yaml'
import { readConfig } from './config.mjs'
import { Files } from './files.mjs'
import { serve } from './server.mjs'
import { Store, keyOf } from './store.mjs'

/** What was kept is there again, without being asked for its limits a second time. */
function restore(store, files) {
  for (const { labels, entries } of files.days().flatMap(day => files.read(day))) {
    const stream = store.streamOf(labels, entries.length, [])
    for (const entry of entries) {
      const key = keyOf(entry)
      if (stream && !stream.seen.has(key))
        store.keep(stream, entry, key, Buffer.byteLength(entry.line))
    }
    if (stream) stream.sorted = false
  }
  store.trim()
  files.remove(() => true)
  files.keep([...store.streams.values()].map(({ labels, entries }) => ({ labels, entries })))
}

async function start(file) {
  const text = readFileSync(file, 'utf8')
  const yaml = parse(text)
  const diskUsage = () => {
    const { blocks, bfree } = statfsSync(yaml.common.path_prefix)
    return 1 - bfree / blocks
  }
  const config = readConfig(text)
  const store = new Store(config, { diskUsage })
  const files = new Files(yaml)
  restore(store, files)
  await serve(store, {
    port: yaml.server?.http_listen_port ?? 3100,
    keep: streams => files.keep(streams),
    remove: isGone => setTimeout(() => files.remove(isGone), config.deletionMs),
  })
  console.log(`level=info msg="Loki stand-in started" lines=${store.lines}`)
}

const [, , argument = ''] = process.argv
for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => process.exit(0))
if (argument === '-health') {
  const { ok } = await fetch('http://127.0.0.1:3100/ready').catch(() => ({ ok: false }))
  process.exit(ok ? 0 : 1)
}
await start(argument.replace(/^-config\.file=/, ''))
