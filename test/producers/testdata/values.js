const { log, close } = require('./tojournal')

log('two\nlines', { LINES: 'a\nPRIORITY=0', PRIORITY: 4, BYTES: Buffer.from([0, 255, 10]), lower: 1, 'A\nB': 1, NONE: null })
log('long '.repeat(500000), { BYTES: Buffer.alloc(1 << 20) })
const many = {}
for (let i = 0; i < 100; i++) many['FIELD' + i] = 'x'.repeat(30000)
log('too large', many)
log('impossible', { VALUE: { toString () { throw new Error('no') } } })
log('end')
close()
close()
log('after the end')
