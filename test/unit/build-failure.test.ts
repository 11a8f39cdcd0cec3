// What is said of a build that failed. The outputs are those of the tools' own, cut, on KGC's
// monorepo at 5ef03fe and in Docker 20.10.
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { createBuildFailure, selectFailedSource } from '../../scripts/lib/images/build/failure.ts'
import { findFirstError } from '../../scripts/lib/images/build/first-error.ts'
import { findNewestCommonCommit } from '../../scripts/lib/images/build/last-built.ts'

const test = suite('build-failure')
const commit = (letter: string) => letter.repeat(40)
const images = ['kgc-api', 'kgc-web'].map(target => ({
  target,
  name: `ghcr.io/o/${target}`,
  commit: commit('a'),
}))

/** How BuildKit shows a step that fails, beside one that it ends therefore. */
const failing = (
  step: string,
  said: string,
) => `#0 building with "default" instance using docker driver

#10 [kgc-other 3/3] RUN pnpm build
#10 0.410 src/slow.ts(1,1): error TS9999: It is of a step that did not fail

#13 ${step}
${said
  .split('\n')
  .map(line => `#13 1.472 ${line}`)
  .join('\n')}
#13 ERROR: executor failed running [/bin/sh -c ${step.replace(/.*RUN /, '')}]: exit code: 1

#10 [kgc-other 3/3] RUN pnpm build
#10 CANCELED
------
 > ${step}:
${said
  .split('\n')
  .slice(-10)
  .map(line => `1.472 ${line}`)
  .join('\n')}
------
ERROR: failed to solve: executor failed running [/bin/sh -c ${step.replace(/.*RUN /, '')}]: exit code: 1`

const tsup = `@kgc/auth:build: CLI Building entry: src/index.ts
@kgc/rental-core:build: > tsup
@kgc/rental-core:build: ESM You have emitDecoratorMetadata enabled but @swc/core was not installed, skipping swc plugin
@kgc/rental-core:build: ✘ [ERROR] Could not resolve "./interfaces/early-cancellation.interface"
@kgc/auth:build: CJS Build start
@kgc/rental-core:build: 
@kgc/rental-core:build:     src/index.ts:8:14:
@kgc/rental-core:build:       8 │ export * from './interfaces/early-cancellation.interface';
@kgc/rental-core:build:         ╵               ~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~
@kgc/rental-core:build: src/index.ts(9,15): error TS2307: Cannot find module './interfaces/rental-discount-audit.interface' or its corresponding type declarations.
@kgc/rental-core:build: DTS Build error
@kgc/rental-core:build:  ELIFECYCLE  Command failed with exit code 1.
@kgc/rental-core:build: ERROR: command finished with error: command (/app/packages/berles/rental-core) pnpm run build exited (1)
 ERROR  run failed: command  exited (1)`

const vite = `vite v7.3.1 building client environment for production...
✓ 3742 modules transformed.
✗ Build failed in 12.64s
error during build:
Could not resolve "../hooks/useRentalDashboard" from "src/features/dashboard/widgets/RentalStatsWidget.tsx"
file: /app/apps/kgc-web/src/features/dashboard/widgets/RentalStatsWidget.tsx
    at getRollupError (file:///app/node_modules/rollup/dist/es/shared/parseAst.js:401:41)
 ERR_PNPM_RECURSIVE_RUN_FIRST_FAIL  kgc-web@0.0.0 build: \`vite build\`
Exit status 1`

const module =
  "TS2307: Cannot find module './interfaces/early-cancellation.interface' or its corresponding type declarations."
const cases: [said: string, error: string][] = [
  [
    tsup,
    '@kgc/rental-core: src/index.ts:8:14: Could not resolve "./interfaces/early-cancellation.interface"',
  ],
  [
    vite,
    'Could not resolve "../hooks/useRentalDashboard" from "src/features/dashboard/widgets/RentalStatsWidget.tsx"',
  ],
  [
    `src/index.ts(8,15): error ${module}\nsrc/index.ts(9,15): error TS2307: x`,
    `src/index.ts:8:15: ${module}`,
  ],
  [
    `\u001b[96msrc/index.ts\u001b[0m:\u001b[93m8\u001b[0m:\u001b[93m15\u001b[0m - \u001b[91merror\u001b[0m\u001b[90m TS2307: \u001b[0m${module.slice(8)}`,
    `src/index.ts:8:15: ${module}`,
  ],
  [
    'Scope: all 42 workspace projects\n\u2009ERR_PNPM_OUTDATED_LOCKFILE\u2009 Cannot install with "frozen-lockfile" because pnpm-lock.yaml is not up to date with <ROOT>/apps/kgc-web/package.json',
    'ERR_PNPM_OUTDATED_LOCKFILE\u2009 Cannot install with "frozen-lockfile" because pnpm-lock.yaml is not up to date with <ROOT>/apps/kgc-web/package.json',
  ],
  ['fatal: not a git repository: (null)', 'fatal: not a git repository: (null)'],
  ['all is well', 'executor failed running [/bin/sh -c it]: exit code: 1'],
]

test('the first error of the step that failed is named, with its file, whichever tool says it', () => {
  for (const [said, error] of cases)
    assert.equal(
      [findFirstError(failing('[kgc-web builder 5/5] RUN it', said))].map(({ step, error }) => [
        step,
        error,
      ]),
      [['kgc-web builder 5/5: RUN it', error]],
    )
})

test("Docker's own refusal is the error where no tool ran; a builder that does not get so far is quoted", () => {
  const missing = `#7 [2/2] COPY apps/none/package.json .
#7 ERROR: "/apps/none/package.json" not found: not found
ERROR: failed to solve: failed to compute cache key: "/apps/none/package.json" not found: not found`
  const { step, error } = findFirstError(missing)
  assert.is(
    `${step}: ${error}`,
    '2/2: COPY apps/none/package.json .: "/apps/none/package.json" not found: not found',
  )
  assert.is(
    findFirstError('ERROR: open /x/Dockerfile: no such file or directory').error,
    'ERROR: open /x/Dockerfile: no such file or directory',
  )
})

test('the error says what failed, the few lines around it, where all of it is, and which commit was the last that built', () => {
  const text = failing('[kgc-api builder 5/5] RUN pnpm build --filter=@kgc/api...', tsup)
  const last = { commit: commit('b'), known: 'ghcr.io has it, of 2026-02-03' }
  const { code, why, evidence, next, serving } = createBuildFailure(images, text, {
    last,
    log: 'The whole output of the builder: /x',
  })
  assert.is(code, 5)
  assert.is(
    why,
    'kgc-api builder 5/5: RUN pnpm build --filter=@kgc/api...: @kgc/rental-core: src/index.ts:8:14: Could not resolve "./interfaces/early-cancellation.interface"',
  )
  assert.ok(evidence!.split('\n').length <= 10, evidence)
  assert.match(
    evidence!,
    new RegExp(
      `The last commit that built: ${commit('b')} \\(ghcr\\.io has it, of 2026-02-03\\)\nThe whole output of the builder: /x$`,
    ),
  )
  assert.is(next, `KGC_REF=${commit('b')}   (in infra/docker/kgc/.env.example)`)
  assert.is(serving, 'nothing was pushed')
  assert.is(createBuildFailure(images, text).next, 'npx zx scripts/images.ts build kgc-api kgc-web')
})

test('the last commit is the newest that all images of the source have that failed, and not the one that failed', () => {
  const other = { target: 'horilla', name: 'ghcr.io/o/horilla', commit: commit('f') }
  assert.equal(
    selectFailedSource([other, ...images], failing('[kgc-web 1/1] RUN it', vite)),
    images,
  )
  assert.equal(selectFailedSource([other, ...images], 'ERROR: no'), [other])
  const seen = (letter: string, day: string) => ({
    commit: commit(letter),
    created: `2026-02-${day}`,
  })
  const api = [seen('a', '09'), seen('c', '02'), seen('b', '03'), seen('d', '04')]
  assert.equal(
    findNewestCommonCommit([api, [seen('b', '05'), seen('c', '06')]], commit('a')),
    seen('b', '03'),
  )
  assert.is(findNewestCommonCommit([api, []], commit('a')), undefined)
  assert.is(findNewestCommonCommit([], commit('a')), undefined)
})

test('where the image that makes the SBOM cannot be had, the next step leaves the SBOM out; no space is refused', () => {
  const text =
    'ERROR: failed to solve: failed to resolve source metadata for docker.io/docker/buildkit-syft-scanner:stable-1: dial tcp: lookup registry-1.docker.io'
  const { why, next } = createBuildFailure(images, text)
  assert.match(why, /SBOM.*failed to resolve source metadata/)
  assert.is(next, 'KGC_SBOM=false npx zx scripts/images.ts push kgc-api kgc-web')
  assert.is(createBuildFailure(images, 'write: no space left on device').code, 3)
})

test.run()
