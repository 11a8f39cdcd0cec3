// An environment on Kubernetes: its overlay, its namespace, and what no manifest says of it.
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'
import { Failure, exit } from '../errors.ts'
import { root } from '../repository.ts'

const overlaysFolder = 'infra/k8s/overlays'

/**
 * An environment on Kubernetes: what infra/k8s/overlays/<name>/environment.yaml says, and the
 * namespace of its kustomization.
 */
export interface Environment {
  name: string
  /** Relative to the repository. */
  folder: string
  namespace: string
  /** The kubectl context that it lives in; the current one when it names none. */
  context?: string
  /** Where smoke connects when DNS does not lead there. */
  edge: { https?: string; http?: string }
  /** Holds no data of people: checks may write, certificates need not be valid. */
  disposable: boolean
  /** A change asks before it begins. */
  protected: boolean
  /** Seconds for which all must stay ready before a change is a success. */
  stableSeconds: number
  /** The environment that must have had a commit before this one gets it. */
  promotedFrom?: string
  /** Where the images built from this project's sources are. */
  images?: string
  /** What a deploy saves before it migrates data. */
  backup?: BackupPolicy
  sealedSecrets: { namespace: string; name: string }
}

/** Of environment.yaml; what it leaves out the env files and BACKUP_… of the shell say. */
export interface BackupPolicy {
  /** A folder of the machine that deploys. */
  to?: string
  /** `s3://bucket/prefix`: a copy away from that machine. */
  copyTo?: string
  /** age recipients: who may open it. */
  recipients?: string[]
  /** A proven backup that is not older stands for a new one. */
  maxAgeHours?: number
  /** Why none is taken. */
  off?: string
}

/** The environments that there are: the overlays with an environment.yaml. */
export const listEnvironments = (): string[] =>
  readdirSync(join(root, overlaysFolder)).filter(name =>
    existsSync(join(root, overlaysFolder, name, 'environment.yaml')),
  )

const settingValidators: Record<string, (value: unknown) => boolean> = {
  context: value => typeof value === 'string',
  images: value => typeof value === 'string',
  promotedFrom: value => listEnvironments().includes(value as string),
  disposable: value => typeof value === 'boolean',
  protected: value => typeof value === 'boolean',
  stableSeconds: value => typeof value === 'number' && value >= 0,
  edge: value => isTextRecord(value, ['https', 'http']),
  sealedSecrets: value => isTextRecord(value, ['namespace', 'name']),
  backup: value => isBackupPolicy(value),
}
/** What of a setting is not said by its name. */
const settingHints: Record<string, string> = {
  backup: 'backup (to, copyTo, recipients, maxAgeHours; or off: a reason)',
}
/** Keys of older versions, and what they are called now. */
const renamedSettings: Record<string, string> = { after: 'promotedFrom', stable: 'stableSeconds' }

const isTextRecord = (value: unknown, keys: string[]) =>
  typeof value === 'object' &&
  value !== null &&
  Object.entries(value).every(([key, text]) => keys.includes(key) && typeof text === 'string')

const isText = (value: unknown): boolean => typeof value === 'string' && value.trim() !== ''

function isBackupPolicy(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  const { to, copyTo, recipients, maxAgeHours, off, ...unknown } = value as Record<string, unknown>
  const texts = [to, copyTo, off].filter(one => one !== undefined)
  return (
    !Object.keys(unknown).length &&
    texts.every(isText) &&
    (recipients === undefined || (Array.isArray(recipients) && recipients.every(isText))) &&
    (maxAgeHours === undefined || (typeof maxAgeHours === 'number' && maxAgeHours > 0)) &&
    (off === undefined || Object.keys(value).length === 1)
  )
}

/**
 * Reads an environment's description. Throws Failure (usage) when there is none of this name, or
 * what it says is not understood.
 */
export function loadEnvironment(name = ''): Environment {
  if (!listEnvironments().includes(name))
    throw new Failure(
      exit.usage,
      'Choose the environment',
      name ? `there is no ${overlaysFolder}/${name}/environment.yaml` : 'none is named',
      {
        next: `one of: ${listEnvironments().join(', ')}`,
      },
    )
  const [environment, kustomization] = ['environment.yaml', 'kustomization.yaml'].map(file =>
    readFileSync(join(root, overlaysFolder, name, file), 'utf8'),
  )
  return parseEnvironment(name, environment!, kustomization!)
}

/** The same, of the texts of its environment.yaml and its kustomization. */
export function parseEnvironment(
  name: string,
  environment: string,
  kustomization: string,
): Environment {
  const folder = `${overlaysFolder}/${name}`
  const said = (parse(environment) ?? {}) as Partial<Environment>
  refuseRenamedSettings(folder, Object.keys(said))
  const wrong = Object.entries(said)
    .filter(([key, value]) => !settingValidators[key]?.(value))
    .map(([key]) => key)
  if (wrong.length) {
    const keys = Object.keys(settingValidators).map(key => settingHints[key] ?? key)
    const next = `what it may say: ${keys.join(', ')}`
    throw new Failure(
      exit.usage,
      `Read ${folder}/environment.yaml`,
      `not understood: ${wrong.join(', ')}`,
      { next },
    )
  }
  // as text: `4e5721` is no number there
  const { namespace } = (parse(kustomization, { schema: 'failsafe' }) ?? {}) as {
    namespace?: string
  }
  if (!namespace)
    throw new Failure(exit.usage, `Read ${folder}/kustomization.yaml`, 'it has no namespace')
  const sealedSecrets = {
    namespace: 'kube-system',
    name: 'sealed-secrets-controller',
    ...said.sealedSecrets,
  }
  return {
    disposable: false,
    protected: false,
    stableSeconds: 10,
    edge: {},
    ...said,
    name,
    folder,
    namespace,
    sealedSecrets,
  }
}

/** Throws Failure (usage) that names the new key of each old one. */
function refuseRenamedSettings(folder: string, keys: string[]): void {
  const renamed = keys.filter(key => Object.hasOwn(renamedSettings, key))
  if (!renamed.length) return
  throw new Failure(
    exit.usage,
    `Read ${folder}/environment.yaml`,
    `renamed: ${renamed.map(key => `${key} is ${renamedSettings[key]}`).join(', ')}`,
    { next: `write ${renamed.map(key => `${renamedSettings[key]}:`).join(' and ')} there` },
  )
}
