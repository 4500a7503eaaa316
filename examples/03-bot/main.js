// A bot that answers everybody and counts what each of them said. What it counts survives restarts, and a message is counted once.
// node examples/03-bot/main.js RELAY_URL FOLDER
import { join } from 'node:path'
import { openAgent } from '@parley/agent/node'
import { chat } from '@parley/protocols/chat'

const [relay = 'ws://127.0.0.1:4001', folder = '.'] = process.argv.slice(2)
const open = (name) => openAgent({ home: join(folder, name), address: `${name}@a.localhost`, relay, protocols: [chat] })

const alice = await open('alice')
const first = await startBot()
await Promise.all([alice.connected(), first.agent.connected()])
await alice.addContact(first.agent.link)
const bot = first.agent.address

await say('Hello!')
// The handler fails at the first attempt. The message is handed to it again, and is counted once all the same.
await say('Stumble!')
await first.stop()
console.log('the bot starts again')
const second = await startBot()
await say('Still there?')
await second.stop()
await alice.close()

async function say(text) {
  await alice.send(bot, chat.text({ text }))
  for await (const answer of alice.messages(chat.text)) {
    console.log(`alice reads: ${answer.body.text}`)
    return
  }
}

async function startBot() {
  const agent = await open('bot')
  const ending = new AbortController()
  const serving = agent.handle(chat.text, (message) => answer(agent, message), { signal: ending.signal, concurrency: 4 })
  return {
    agent,
    async stop() {
      ending.abort()
      await serving
      await agent.close()
    },
  }
}

async function answer(agent, message) {
  const { from, threadId, id, attempt, body } = message
  if (body.text === 'Stumble!' && attempt === 1) throw new Error('the bot stumbles')
  const key = `count ${from}`
  const row = agent.appRow(key)
  const count = (row === undefined ? 0 : Number(new TextDecoder().decode(row))) + 1
  const again = attempt === 1 ? '' : ', at the second attempt'
  await agent.send(from, chat.text({ text: `That was number ${count}${again}.` }, { threadId, referentId: id }))
  // The count and "this message is handled" are one write: there is no crash between them. A crash just before may repeat the answer.
  await message.commit([{ type: 'put', key, value: new TextEncoder().encode(String(count)) }])
}
