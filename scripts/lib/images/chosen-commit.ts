// Where a person chooses the commit that an image is built of.
import { commitImages, type Built } from '../deploy/versions.ts'
import { parseImage } from './registry.ts'

/** The key, and the example that it stands in, of each of these images that is built of a commit. */
export const pinsOf = (images: string[]): Pick<Built, 'key' | 'file'>[] =>
  commitImages().filter(({ name }) =>
    images.some(image => parseImage(image).name.endsWith(`/${name}`)),
  )

/** The same in words. */
export const whereChosen = (images: string[]): string =>
  [...new Set(pinsOf(images).map(({ key, file }) => `${key} in ${file}`))].join(', ')
