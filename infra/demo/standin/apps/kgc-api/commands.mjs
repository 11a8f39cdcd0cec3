// KGC API's commands.
import { start } from '../../lib/process.mjs'
import { openPool } from '../../lib/stores.mjs'
import { api } from './api.mjs'
import { deploy, forget, push, resolve, status } from './prisma.mjs'

/** Prisma's commands need the database and nothing else. */
const prisma = work => async context => {
  const pool = openPool({ connectionString: context.env.DATABASE_URL }, context.log)
  try {
    await work(context, pool)
  } finally {
    await pool.end()
  }
}

export const commands = {
  api: async context => {
    await start(context)
    await api(context, openPool({ connectionString: context.env.DATABASE_URL }, context.log))
    return true
  },
  deploy: prisma(deploy), push: prisma(push), resolve: prisma(resolve), forget: prisma(forget), status: prisma(status),
}
