// The stand-in: plays the application named by STANDIN_APP, which obeys its contract and refuses what upstream would choke on.
// Usage: main.mjs COMMAND [ARGUMENT …], the command as it stands in the Compose file.
// Exit codes: 1 refused or failed, 127 a command that the real image does not have.
import { readFileSync } from 'node:fs'
import { demandVariables, demandVolumes } from './lib/demands.mjs'
import { readFaults } from './lib/fault.mjs'
import { Broken, Refusal, holdBack, logger } from './lib/log.mjs'

/** @param {string[]} argv */
export async function run(argv) {
  try {
    const stays = await play(argv, process.env)
    if (!stays) process.exit(0)
  } catch (error) {
    console.log(
      error instanceof Refusal || error instanceof Broken || !error.stack
        ? error.message
        : `error: ${error.message}`,
    )
    if (process.env.STANDIN_DEBUG) console.log(error.stack)
    process.exit(error.exitCode ?? 1)
  }
}

async function play(argv, env) {
  const app = env.STANDIN_APP ?? ''
  const contract = JSON.parse(
    readFileSync(new URL(`contracts/${app}.json`, import.meta.url), 'utf8'),
  )
  contract.version = env.STANDIN_VERSION || contract.version
  const command = find(contract, argv)
  if (!command)
    throw Object.assign(
      new Broken(
        `${argv.join(' ')}: not a command of ${app}; known: ${contract.commands.map(({ argv }) => argv).join(' · ')}`,
      ),
      { exitCode: 127 },
    )

  // an entrypoint is asked for on behalf of what it will run
  const role =
    command.role ?? (command.run === 'entrypoint' ? find(contract, argv.slice(1))?.role : undefined)
  holdBack(contract.buffered, env)
  const log = logger(contract.log, role ? `${app}/${role}` : app)
  const faults = readFaults(env.STANDIN_FAULT)
  if (faults.has('cut-off') && !command.bare) cutOff(log)
  if (!command.bare) {
    demandVariables(contract, role, env)
    demandVolumes(contract, role, env)
  }
  if (process.getuid?.() !== contract.uid)
    log.warn('not the user of the real image', { uid: process.getuid?.(), image: contract.uid })
  const { commands } = await import(`./apps/${app}/commands.mjs`)
  // true: it serves or works until it is stopped
  return commands[command.run]({
    contract,
    role,
    env,
    log,
    faults,
    rest: argv.slice(command.argv.replace(/ \*$/, '').split(' ').length),
  })
}

/** As a process that the kernel kills for want of memory. */
function cutOff(log) {
  log.error('the last whole line')
  process.stdout.write('and the one that was being wri')
  process.kill(process.pid, 'SIGKILL')
}

function find({ commands }, argv) {
  const line = argv.join(' ')
  return commands.find(({ argv: known }) =>
    known.endsWith(' *') ? line.startsWith(known.slice(0, -1)) : line === known,
  )
}

if (process.argv[1]?.endsWith('/main.mjs')) await run(process.argv.slice(2))
