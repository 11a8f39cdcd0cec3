// What is told of a deploy.

type OptionalText = string | undefined

/**
 * What is told. Texts may be of any length and hold anything: the messages are trimmed and made
 * harmless.
 */
export interface DeployEvent {
  kind: DeployEventKind
  /** What was done; a deploy when it is not said. */
  verb?: 'deploy' | 'rollback'
  environment: string
  release?: OptionalText
  commit?: OptionalText
  actor?: OptionalText
  ms?: number | undefined
  /** The workflow run. */
  link?: OptionalText
  failure?: EventFailure | undefined
  /** What is serving now. */
  serving?: OptionalText
}

/** Why a deploy failed or was rolled back. */
interface EventFailure {
  application?: OptionalText
  pod?: OptionalText
  container?: OptionalText
  reason?: OptionalText
  exitCode?: number | undefined
  /** The likely cause, in words. */
  cause?: OptionalText
  /** The last lines of the log. */
  log?: OptionalText
  /** The command that goes on from here. */
  next?: OptionalText
}

/** How each kind is told: its title, by what was done and where, and its colour. */
export const kindStyles = {
  started: { title: (what: string) => `${what} has started`, color: 0x3b82f6 },
  succeeded: { title: (what: string) => `${what} succeeded`, color: 0x22c55e },
  failed: { title: (what: string) => `${what} failed`, color: 0xef4444 },
  'rolled-back': { title: (_: string, name: string) => `${name} was rolled back`, color: 0xf59e0b },
}
export type DeployEventKind = keyof typeof kindStyles
export const deployEventKinds = Object.keys(kindStyles) as DeployEventKind[]
