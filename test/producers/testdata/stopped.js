// Logs while journald is stopped, tells of it, and goes on once there is a line to read.
const { log, dropped, close } = require('./tojournal')

let sent = 0
const send = (message, fields) => { sent++; log(message, fields) }
const tell = what => process.stdout.write(JSON.stringify(what) + '\n')

send('begin')
global.gc()
const before = process.memoryUsage().rss
for (let i = 0; i < 20000; i++) send('line ' + i, { NUMBER: i })
for (let i = 0; i < 100; i++) send('large '.repeat(200000))
global.gc()
tell({ dropped: dropped(), grown: process.memoryUsage().rss - before })

process.stdin.once('data', function again () {
  send('again')
  if (dropped() > 0) return setTimeout(again, 10)
  tell({ sent })
  close()
  process.stdin.destroy()
})
