// Where a person pins the commit that an image is built from.
import { listCommitImages, type CommitImage } from './commit-images.ts'
import { parseImage } from './reference.ts'

/**
 * The key, and the example that it stands in, of each of these images that is built of a commit.
 */
export const findCommitPins = (images: string[]): Pick<CommitImage, 'key' | 'file'>[] =>
  listCommitImages().filter(({ name }) =>
    images.some(image => parseImage(image).name.endsWith(`/${name}`)),
  )

/** The same in words. */
export const describeCommitPins = (images: string[]): string =>
  [...new Set(findCommitPins(images).map(({ key, file }) => `${key} in ${file}`))].join(', ')
