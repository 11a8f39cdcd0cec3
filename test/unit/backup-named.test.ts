// Files that rows name, held against what an archive has.
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { findUnlikeFiles, parseArchived, parseNamed } from '../../scripts/lib/backup/named.ts'

const test = suite('named files')
const md5 = (letter: string) => letter.repeat(32)

test('a file that is missing, shorter or other than its row says is named; blanks in a name do no harm', () => {
  const archived = parseArchived(
    '5 1700000000 ./ab/cd/abcd\n7 1700000000 ./a b/c\n4 1700000000 ./same\n',
    `${md5('a')}  ./ab/cd/abcd\n${md5('b')}  ./a b/c\n${md5('c')}  ./same\n`,
  )
  const rows = [
    ['ab/cd/abcd', '6', md5('a')],
    ['a b/c', '7', md5('f')],
    ['same', '4', md5('c')],
    ['a b/c', '7', ''],
    ['none', '1', ''],
    ['ab/cd/abcd', '', ''],
    ['gone', '', ''],
  ]
  const named = parseNamed(rows.map(row => row.join('\t')).join('\n'))
  assert.equal(
    [...findUnlikeFiles(named, archived)],
    [
      ['ab/cd/abcd', 'ab/cd/abcd has 5 bytes, and its row says 6'],
      ['a b/c', 'a b/c has other contents than its row says'],
      ['none', 'none is not there'],
      ['gone', 'gone is not there'],
    ],
  )
})

test.run()
