// `node dist/queue-worker/queue-worker`, as yarn runs it.
// void: a CommonJS file cannot await, and run() handles its own errors
void import('/opt/standin/main.mjs').then(({ run }) => run(['yarn', 'worker:prod']))
