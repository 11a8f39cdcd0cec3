// `node dist/main`, as the image's command says it.
// void: a CommonJS file cannot await, and run() handles its own errors
void import('/opt/standin/main.mjs').then(({ run }) => run(['node', 'dist/main']))
