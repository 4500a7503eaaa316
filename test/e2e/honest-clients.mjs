/**
 * Two honest people in a process of their own, so that what others do to the relay is all that can slow them down. Each line on
 * standard input asks for so many messages, one after another; each line on standard output tells how long they took.
 * @module
 */
import { createInterface } from 'node:readline'
import { openAgent } from '@parley/agent/node'
import { chat } from '@parley/protocols/chat'

const [relay, domain, folder] = process.argv.slice(2)
const join = async (name) => {
  const agent = await openAgent({ home: `${folder}/${name}`, address: `${name}@${domain}`, relay, protocols: [chat] })
  await agent.connected()
  return agent
}
const alice = await join('alice')
const bob = await join('bob')
const heard = []
let onHeard = () => {}
bob.handle(chat.text, async ({ body }) => {
  heard.push(body.text)
  onHeard(body.text)
})

let sent = 0
async function round() {
  const text = `${sent++}`
  const came = new Promise((done) => {
    onHeard = (each) => each === text && done()
  })
  const started = performance.now()
  await alice.send(`bob@${domain}`, chat.text({ text }))
  await came
  return performance.now() - started
}

process.stdout.write('{"event":"ready"}\n')
for await (const line of createInterface({ input: process.stdin })) {
  const times = []
  for (let i = 0; i < Number(line); i++) times.push(await round())
  // Exactly once, and in order, since the beginning.
  const inOrder = heard.length === sent && heard.every((text, i) => text === `${i}`)
  process.stdout.write(`${JSON.stringify({ event: 'rounds', times, inOrder })}\n`)
}
await Promise.all([alice.close(), bob.close()])
