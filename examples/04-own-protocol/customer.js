// The customer: asks for a thing, takes any offer, and tells how it ended. Started without one it goes on with its newest order.
// node examples/04-own-protocol/customer.js RELAY_URL FOLDER [LINK THING COUNT PATIENCE_MS]
import { join } from 'node:path'
import { openAgent } from '@parley/agent/node'
import { messages, order } from './order.js'

const [relay, folder, link, thing, count, patienceMs] = process.argv.slice(2)
const me = await openAgent({ home: join(folder, 'customer'), address: 'carol@a.localhost', relay, protocols: [order] })
await me.connected()
// Without a thing to ask for: the newest order goes on.
const run = thing === undefined ? me.runs(order).at(-1) : await begin()
console.log(thing === undefined ? 'goes on' : `asks for ${count} ${thing}`)

me.handle(messages.offer, async ({ threadId, body: { price } }) => {
  if (threadId !== run.threadId || run.state().value !== 'considering') return
  await run.tell({ type: 'accept' })
  console.log(`takes it for ${price}`)
})

const { result } = await run.finished()
console.log(`ends: ${result}`)
await me.close()

async function begin() {
  const { address } = await me.addContact(link)
  const input = { thing, count: Number(count), patienceMs: Number(patienceMs) }
  return await me.start(order, 'customer', { peer: address, input })
}
