// Says more than journald takes; then it tells on standard error how it went.
const { say } = require('./say')

let rounds = 0
setImmediate(function round () {
  for (let i = 0; i < 10000; i++) say('x'.repeat(99))
  if (++rounds < 20) return setImmediate(round)
  process.stderr.write(JSON.stringify({ grown: process.stdout.writableLength }) + '\n')
  process.exit()
})
