// Twenty's exporter. Server and worker have one each: both import upstream's instrument.ts.
import { createServer } from 'node:http'
import { onStop } from '../../lib/process.mjs'

/** With METER_DRIVER=prometheus Prometheus' text on 9464, the exporter's default port: what waits in each queue. */
export async function serveMetrics({ contract, env, log }, redis) {
  if (!env.METER_DRIVER?.split(',').includes('prometheus')) return
  const exporter = createServer(async (request, response) => {
    if (request.url !== '/metrics') return response.writeHead(404).end()
    // a queue that cannot be asked has no value, and the exporter answers all the same
    const waiting = await Promise.all(
      contract.queues.map(queue => redis.lLen(`bull:${queue}:wait`).catch(() => undefined)),
    )
    const lines = contract.queues.flatMap((queue, i) =>
      waiting[i] === undefined
        ? []
        : [`twenty_queue_jobs_waiting_total{queue="${queue}"} ${waiting[i]}`],
    )
    response
      .writeHead(200, { 'content-type': 'text/plain; version=0.0.4' })
      .end(['# TYPE twenty_queue_jobs_waiting_total gauge', ...lines, ''].join('\n'))
  })
  onStop(() => {
    exporter.close()
    exporter.closeAllConnections()
  })
  await new Promise(resolve => exporter.listen(9464, '0.0.0.0', resolve))
  log.info('metrics', { port: 9464 })
}
