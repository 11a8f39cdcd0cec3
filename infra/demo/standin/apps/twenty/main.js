// `node dist/main`, as the image's command says it.
import('/opt/standin/main.mjs').then(({ run }) => run(['node', 'dist/main']))
