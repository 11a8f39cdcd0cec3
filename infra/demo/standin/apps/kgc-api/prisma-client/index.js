// The two calls of Prisma's client that KGC's migration script makes.
const { Client } = require('/usr/share/nodejs/pg')

exports.PrismaClient = class PrismaClient {
  #client
  async $queryRawUnsafe(sql) {
    if (!this.#client) {
      this.#client = new Client({ connectionString: process.env.DATABASE_URL, connectionTimeoutMillis: 4000 })
      await this.#client.connect()
    }
    return (await this.#client.query(sql)).rows
  }
  async $disconnect() {
    await this.#client?.end()
  }
}
