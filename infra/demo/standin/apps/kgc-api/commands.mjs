// KGC API's commands.
import { start } from '../../lib/process.mjs'
import { openPool } from '../../lib/stores.mjs'
import { api } from './api.mjs'

export const commands = {
  api: async context => {
    await start(context)
    await api(context, openPool({ connectionString: context.env.DATABASE_URL }, context.log))
    return true
  },
}
