// Alice lets in her phone beside her laptop: both read what bob writes, and each shows what the other sent.
// node examples/02-two-devices/main.js RELAY_URL FOLDER
import { join } from 'node:path'
import { openAgent, requestDevice } from '@parley/agent/node'
import { chat } from '@parley/protocols/chat'

const [relay = 'ws://127.0.0.1:4001', folder = '.'] = process.argv.slice(2)
const open = (name, address) => openAgent({ home: join(folder, name), address, relay, protocols: [chat] })
const laptop = await open('laptop', 'alice@a.localhost')
const bob = await open('bob', 'bob@a.localhost')
await Promise.all([laptop.connected(), bob.connected()])

// On the phone. The link carries the thumbprint of the account's key, so the relay cannot pass off another account as alice's.
const account = laptop.link.split('k=')[1]
const { line } = await requestDevice({ home: join(folder, 'phone'), address: laptop.address, relay, account })
// On the laptop: alice has compared the line with what the phone shows, and lets it in.
await laptop.approveDevice(line)
const phone = await open('phone', laptop.address)
await phone.connected()
console.log(`alice has ${laptop.devices().length} devices`)

await bob.addContact(laptop.link)
await bob.send(laptop.address, chat.text({ text: 'Are you there?' }))
const asked = await next(laptop)
console.log(`the laptop reads: ${asked.body.text}`)
console.log(`the phone reads: ${(await next(phone)).body.text}`)

await phone.send(bob.address, chat.text({ text: 'On my way.' }, { threadId: asked.threadId, referentId: asked.id }))
console.log(`bob reads: ${(await next(bob)).body.text}`)
const copy = await next(laptop)
console.log(`the laptop shows ${copy.copy ? 'what the phone wrote' : 'something else'}: ${copy.body.text}`)

await Promise.all([laptop.close(), phone.close(), bob.close()])

// Leaving the loop marks the message as handled.
async function next(agent) {
  for await (const message of agent.messages(chat.text)) return message
}
