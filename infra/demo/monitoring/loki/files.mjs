// Lines on the disk where Loki has them: a folder of the index for each day (pkg/storage/config/schema_config.go), which is gone with its last line.
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs'

const dayMs = 86_400_000
const dayOf = ({ time }) => Number(time / 1_000_000n / BigInt(dayMs))

const asLine = streams =>
  `${JSON.stringify(streams, (_, value) => (typeof value === 'bigint' ? String(value) : value))}\n`
const revive = entry => ({ ...entry, time: BigInt(entry.time) })

/** The streams with those of their entries that are wanted, without those that have none. */
const having = (streams, isWanted) =>
  streams
    .map(({ labels, entries }) => ({
      labels,
      entries: entries.filter(entry => isWanted(entry, labels)),
    }))
    .filter(({ entries }) => entries.length)
const count = streams => streams.reduce((sum, { entries }) => sum + entries.length, 0)

export class Files {
  /** @param {{ common: object, schema_config: object }} config Loki's */
  constructor({ common, schema_config: { configs } }) {
    this.folder = `${common.storage.filesystem.chunks_directory}/index`
    this.prefix = configs[0].index.prefix
    mkdirSync(this.folder, { recursive: true })
  }

  folderOf(day) {
    return `${this.folder}/${this.prefix}${day}`
  }

  days() {
    const names = readdirSync(this.folder).filter(name => name.startsWith(this.prefix))
    return names.map(name => Number(name.slice(this.prefix.length)))
  }

  /** What was kept of a day. */
  read(day) {
    const lines = readFileSync(`${this.folderOf(day)}/lines`, 'utf8')
      .split('\n')
      .slice(0, -1)
    return lines
      .flatMap(line => JSON.parse(line))
      .map(({ labels, entries }) => ({ labels, entries: entries.map(revive) }))
  }

  /** Adds streams of lines. */
  keep(streams) {
    const days = new Set(streams.flatMap(({ entries }) => entries.map(dayOf)))
    for (const day of days) {
      if (!existsSync(this.folderOf(day))) mkdirSync(this.folderOf(day))
      const mine = having(streams, entry => dayOf(entry) === day)
      appendFileSync(`${this.folderOf(day)}/lines`, asLine(mine))
    }
  }

  /** @param {(entry: { time: bigint }, labels: object) => boolean} isGone which lines are taken out */
  remove(isGone) {
    for (const day of this.days()) {
      const all = this.read(day)
      const left = having(all, (entry, labels) => !isGone(entry, labels))
      if (!left.length) rmSync(this.folderOf(day), { recursive: true })
      else if (count(left) < count(all)) writeFileSync(`${this.folderOf(day)}/lines`, asLine(left))
    }
  }
}
