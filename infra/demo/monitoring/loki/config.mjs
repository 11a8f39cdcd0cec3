// What the stand-in takes from Loki's own configuration file: the limits, with the defaults of Loki 3.7 (pkg/validation/limits.go).
import { parse } from 'yaml'

/** Every key of limits_config that is used here; another one is refused, as Loki refuses a field that it does not know. */
const defaults = {
  allow_structured_metadata: true,
  creation_grace_period: '10m',
  discover_log_levels: true,
  discover_service_name: [
    'service',
    'app',
    'application',
    'app_name',
    'name',
    'container',
    'component',
    'job',
  ],
  ingestion_burst_size_mb: 6,
  ingestion_rate_mb: 4,
  max_entries_limit_per_query: 5000,
  max_global_streams_per_user: 5000,
  max_label_name_length: 1024,
  max_label_names_per_series: 15,
  max_label_value_length: 2048,
  max_line_size: '256KB',
  max_query_length: '721h',
  max_query_series: 500,
  max_structured_metadata_entries_count: 128,
  max_structured_metadata_size: '64KB',
  otlp_config: {},
  per_stream_rate_limit: '3MB',
  per_stream_rate_limit_burst: '15MB',
  reject_old_samples: true,
  reject_old_samples_max_age: '1w',
  retention_period: '0s',
  volume_enabled: true,
}

/** Resource attributes that Loki makes labels of by itself. */
const ownIndexLabels =
  `service.name service.namespace service.instance.id deployment.environment deployment.environment.name cloud.region
  cloud.availability_zone k8s.cluster.name k8s.namespace.name k8s.pod.name k8s.container.name container.name k8s.replicaset.name
  k8s.deployment.name k8s.statefulset.name k8s.daemonset.name k8s.cronjob.name k8s.job.name`.split(
    /\s+/,
  )

const seconds = { ms: 0.001, s: 1, m: 60, h: 3600, d: 86400, w: 604800, y: 31536000 }

/** Milliseconds of `1h30m`, `14d`. */
export function durationMs(text) {
  const parts = [...String(text).matchAll(/([\d.]+)(ms|[smhdwy])/g)]
  if (parts.map(([part]) => part).join('') !== String(text) || !parts.length)
    throw new Error(`not a valid duration string: "${text}"`)
  return parts.reduce((sum, [, number, unit]) => sum + Number(number) * seconds[unit] * 1000, 0)
}

/** Bytes of `256KB`; Loki counts in powers of 1024. */
export function sizeBytes(text) {
  const [, number, unit] = /^([\d.]+)\s*([kmg]?)i?b?$/i.exec(String(text)) ?? []
  if (!number) throw new Error(`not a size: "${text}"`)
  return Number(number) * 1024 ** ' kmg'.indexOf(unit.toLowerCase() || ' ')
}

/** Of the compactor (pkg/compactor/config.go). */
const deletionTimes = [
  ['delete_request_cancel_period', '24h'],
  ['compaction_interval', '10m'],
  ['retention_delete_delay', '2h'],
]

/** Resource attributes that become labels, and what their names are then. */
function indexLabels({
  resource_attributes: { ignore_defaults = false, attributes_config = [] } = {},
}) {
  const named = attributes_config
    .filter(({ action }) => action === 'index_label')
    .flatMap(({ attributes }) => attributes)
  return new Set([...(ignore_defaults ? [] : ownIndexLabels), ...named])
}

/**
 * The limits of a Loki configuration.
 * @param {string} text of config.yaml
 */
export function readConfig(text) {
  const config = parse(text)
  const unknown = Object.keys(config.limits_config ?? {}).filter(key => !(key in defaults))
  if (unknown.length) throw new Error(`field ${unknown[0]} not found in type validation.plain`)
  const limits = { ...defaults, ...config.limits_config }
  return {
    ...limits,
    indexLabels: indexLabels(limits.otlp_config),
    creationGraceMs: durationMs(limits.creation_grace_period),
    maxAgeMs: durationMs(limits.reject_old_samples_max_age),
    // lines may come out of order by half of it
    windowMs: durationMs(config.ingester?.max_chunk_age ?? '2h') / 2,
    diskFullThreshold: config.ingester?.wal?.disk_full_threshold ?? 0.9,
    retentionMs: config.compactor?.retention_enabled ? durationMs(limits.retention_period) : 0,
    // until the files of lines are gone that were asked to be deleted
    deletionMs: deletionTimes.reduce(
      (sum, [key, standard]) => sum + durationMs(config.compactor?.[key] ?? standard),
      0,
    ),
    maxLineBytes: sizeBytes(limits.max_line_size),
    maxMetadataBytes: sizeBytes(limits.max_structured_metadata_size),
    streamBytesPerSecond: sizeBytes(limits.per_stream_rate_limit),
    streamBurstBytes: sizeBytes(limits.per_stream_rate_limit_burst),
    bytesPerSecond: limits.ingestion_rate_mb * 1024 ** 2,
    burstBytes: limits.ingestion_burst_size_mb * 1024 ** 2,
  }
}
