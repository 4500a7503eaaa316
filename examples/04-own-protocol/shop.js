// The shop: makes an offer for lamps, and for nothing else. It may be killed at any line and goes on where it was.
// node examples/04-own-protocol/shop.js RELAY_URL FOLDER
import { join } from 'node:path'
import { openAgent } from '@parley/agent/node'
import { messages, order } from './order.js'

const [relay, folder] = process.argv.slice(2)
const me = await openAgent({ home: join(folder, 'shop'), address: 'shop@a.localhost', relay, protocols: [order] })
await me.connected()
console.log(`link ${me.link}`)

// A handler that died gets its message again: what the machine has left behind already is not done twice.
const isIn = (state, threadId) =>
  me
    .runs(order)
    .find((run) => run.threadId === threadId)
    ?.state().value === state

me.handle(messages.ask, async ({ from, threadId, id, body: { thing, count } }) => {
  if (thing !== 'lamps' || !isIn('asked', threadId)) return
  const price = 20 * count
  await me.send(from, messages.offer({ price }, { threadId, referentId: id }))
  console.log(`offers ${count} ${thing} for ${price}`)
})

me.handle(messages.accept, async ({ from, threadId, id }) => {
  if (!isIn('sold', threadId)) return
  console.log('sells')
  await me.send(from, messages.confirm({}, { threadId, referentId: id }))
})
