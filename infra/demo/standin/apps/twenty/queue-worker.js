// `node dist/queue-worker/queue-worker`, as yarn runs it.
import('/opt/standin/main.mjs').then(({ run }) => run(['yarn', 'worker:prod']))
