// Two agents in one program: alice asks, bob answers, alice learns that her message was delivered.
// node examples/01-two-agents/main.js RELAY_URL FOLDER
import { join } from 'node:path'
import { openAgent } from '@parley/agent/node'
import { chat } from '@parley/protocols/chat'

const [relay = 'ws://127.0.0.1:4001', folder = '.'] = process.argv.slice(2)
const open = (name) => openAgent({ home: join(folder, name), address: `${name}@a.localhost`, relay, protocols: [chat] })
const [alice, bob] = await Promise.all([open('alice'), open('bob')])

// A new account can be written to when its relay has it.
await Promise.all([alice.connected(), bob.connected()])
// Links carry the key's thumbprint: with them nobody has to trust the relay's word on who is who.
await Promise.all([alice.addContact(bob.link), bob.addContact(alice.link)])

const sent = await alice.send(bob.address, chat.text({ text: 'Shall we meet at eight?' }))
// A handler that resolves has handled its message; one that throws gets it again.
const stop = new AbortController()
const answering = bob.handle(
  chat.text,
  async ({ id, threadId, from, body }) => {
    console.log(`bob reads: ${body.text}`)
    await bob.send(from, chat.text({ text: 'At half past.' }, { threadId, referentId: id }))
  },
  { signal: stop.signal },
)
for await (const { referentId, body } of alice.messages(chat.text)) {
  console.log(`alice reads: ${body.text} (${referentId === sent.id ? 'an answer to hers' : 'something else'})`)
  break
}
await sent.delivered()
console.log('alice knows that bob has it')

stop.abort()
await answering.catch(() => {})
await Promise.all([alice.close(), bob.close()])
