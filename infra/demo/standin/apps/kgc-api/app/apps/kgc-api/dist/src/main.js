// `node apps/kgc-api/dist/src/main.js`, as the image's command says it.
import('/opt/standin/main.mjs').then(({ run }) => run(['node', 'apps/kgc-api/dist/src/main.js']))
