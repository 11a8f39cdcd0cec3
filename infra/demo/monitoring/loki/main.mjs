// A strict stand-in for Loki, whose image needs a registry: it obeys Loki's own configuration file, and refuses what Loki refuses.
// Usage: main.mjs -config.file=FILE | -health
import { appendFileSync, existsSync, readFileSync, statfsSync, writeFileSync } from 'node:fs'
import { parse } from 'yaml'
import { readConfig } from './config.mjs'
import { serve } from './server.mjs'
import { Store, keyOf } from './store.mjs'

const asLine = streams =>
  `${JSON.stringify(streams, (_, value) => (typeof value === 'bigint' ? String(value) : value))}\n`

function readKept(file) {
  if (!existsSync(file)) return []
  const lines = readFileSync(file, 'utf8').split('\n').slice(0, -1)
  const revive = entry => ({ ...entry, time: BigInt(entry.time) })
  return lines
    .flatMap(line => JSON.parse(line))
    .map(stream => ({ ...stream, entries: stream.entries.map(revive) }))
}

/** What was kept is there again, without being asked for its limits a second time. */
function restore(store, file) {
  for (const { labels, entries } of readKept(file)) {
    const stream = store.streamOf(labels, entries.length, [])
    for (const entry of entries) {
      const key = keyOf(entry)
      if (stream && !stream.seen.has(key))
        store.keep(stream, entry, key, Buffer.byteLength(entry.line))
    }
    if (stream) stream.sorted = false
  }
  store.trim()
  const all = [...store.streams.values()].map(({ labels, entries }) => ({ labels, entries }))
  writeFileSync(file, all.length ? asLine(all) : '')
}

async function start(file) {
  const text = readFileSync(file, 'utf8')
  const { common, server } = parse(text)
  const diskUsage = () => {
    const { blocks, bfree } = statfsSync(common.path_prefix)
    return 1 - bfree / blocks
  }
  const store = new Store(readConfig(text), { diskUsage })
  const kept = `${common.path_prefix}/standin.jsonl`
  restore(store, kept)
  await serve(store, {
    port: server?.http_listen_port ?? 3100,
    keep: streams => appendFileSync(kept, asLine(streams)),
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
