// Loaded into a script (--import): ends it by END_BY, END_AFTER ms after it says END_AT, in that very moment, whatever its test is busy with.
const { END_AT, END_BY, END_AFTER } = process.env
const write = process.stderr.write
let done = false
process.stderr.write = function (text, ...more) {
  const written = write.call(this, text, ...more)
  if (!done && String(text).includes(END_AT)) {
    done = true
    const end = () => {
      write.call(this, `ended at ${Date.now()}\n`)
      process.kill(process.pid, END_BY)
    }
    if (Number(END_AFTER)) setTimeout(end, Number(END_AFTER)).unref()
    else end()
  }
  return written
}
