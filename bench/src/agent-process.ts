/**
 * One agent in a process of its own, for agent.ts: sends so many messages of 256 octets as fast as its relay takes them, or
 * takes in what its mailbox holds. Prints one line of JSON: messages, seconds, and the processor time that it took.
 * @module
 */
import { performance } from 'node:perf_hooks'
import type { Agent } from '@parley/agent'
import { openAgent } from '@parley/agent/node'
import { chat } from '@parley/protocols/chat'

export type Figures = {
  readonly messages: number
  readonly seconds: number
  /** Of the process, without the time before it began. */
  readonly cpuSeconds: number
}

const text = 'a'.repeat(256)
/** Messages on their way at once. */
const pipelined = 1024
/** `send` calls that are made together. */
const together = 64

/** Sends; resolves when a relay has answered for the last. */
export async function sendMany(
  agent: Agent,
  { to, messages }: { readonly to: string; readonly messages: number },
): Promise<Figures> {
  const first = await agent.send(to, chat.text({ text }))
  await first.accepted()
  return measured(messages, async () => {
    const going: Promise<void>[] = []
    for (let sent = 0; sent < messages; sent += together) {
      const count = Math.min(together, messages - sent)
      const handles = await Promise.all(Array.from({ length: count }, () => agent.send(to, chat.text({ text }))))
      going.push(Promise.all(handles.map((handle) => handle.accepted())).then(() => {}))
      if (going.length * together > pipelined) await going.shift()
    }
    await Promise.all(going)
  })
}

/** Takes messages in; resolves when so many were handled. */
export async function takeMany(agent: Agent, messages: number): Promise<Figures> {
  const stop = new AbortController()
  let left = messages
  return measured(messages, () =>
    agent.handle(
      chat.text,
      () => {
        left--
        if (left === 0) stop.abort()
      },
      { concurrency: 64, signal: stop.signal },
    ),
  )
}

async function measured(messages: number, run: () => Promise<void>): Promise<Figures> {
  const before = process.cpuUsage()
  const start = performance.now()
  await run()
  const seconds = (performance.now() - start) / 1000
  const { user, system } = process.cpuUsage(before)
  return { messages, seconds, cpuSeconds: (user + system) / 1e6 }
}

if (process.argv[1]?.endsWith('agent-process.js') === true) {
  const [role, home = '', to = '', count = '0'] = process.argv.slice(2)
  const agent = await openAgent({ home, protocols: [chat] })
  const messages = Number(count)
  if (role === 'send') await agent.connected()
  const figures = role === 'send' ? await sendMany(agent, { to, messages }) : await takeMany(agent, messages)
  await agent.close()
  process.stdout.write(`${JSON.stringify(figures)}\n`)
}
