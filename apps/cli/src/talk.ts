/**
 * `parley send`, `listen` and `chat`: messages out and in.
 * @module
 */
import { createInterface } from 'node:readline'
import type { Agent, AgentEvent, Message, Sent } from '@parley/agent'
import { isMessagingError } from '@parley/core'
import { chat } from '@parley/protocols/chat'
import { CommandFailed, exitCodes } from './exit.ts'
import { homeOf, interruptible, letGo, open, watchForEnd } from './profile.ts'
import { jsonLine, painter, visible } from './show.ts'

type Home = { readonly home?: string | undefined }
export type Wait = 'queued' | 'accepted' | 'delivered'

export type SendOptions = Home & {
  readonly wait: Wait
  readonly timeout: number
  readonly json?: boolean | undefined
  readonly events?: boolean | undefined
  readonly reply?: string | undefined
}

/** Sends one text, or one message a line of standard input. */
export async function send(address: string, words: readonly string[], options: SendOptions): Promise<void> {
  const agent = await open({ home: homeOf(options) })
  try {
    if (options.events === true) agent.watch(printEvent)
    const sent: Sent[] = []
    const sendOne = async (text: string): Promise<void> => {
      const message = await agent.send(
        address,
        chat.text({ text }, options.reply === undefined ? {} : { referentId: options.reply }),
      )
      sent.push(message)
      if (options.json === true) print(jsonLine({ event: 'queued', id: message.id }))
    }
    if (words.length > 0) await sendOne(words.join(' '))
    else for await (const line of createInterface({ input: process.stdin })) if (line.trim() !== '') await sendOne(line)
    await settle(agent, sent, { ...options, address })
  } finally {
    // Whoever writes the lines may go on, which must not keep a command that failed.
    if (words.length === 0) process.stdin.destroy()
    await agent.close()
  }
}

async function settle(
  agent: Agent,
  sent: readonly Sent[],
  { address, wait, timeout, json }: SendOptions & { readonly address: string },
): Promise<void> {
  if (wait === 'queued') return
  const isHeld = (): boolean =>
    agent.contacts().some((contact) => contact.held !== undefined && [address, address.slice(3)].includes(contact.address))
  const interrupt = interruptible(timeout)
  const { signal } = interrupt
  // Once the keys wait for the person, or the relay has let go of this device, waiting is of no use.
  const look = (): void => {
    if (agent.connection.state === 'stopped' || isHeld()) interrupt.abort()
  }
  agent.watch(({ kind }) => {
    if (kind === 'problem' || kind === 'connection') look()
  })
  look()
  for (const message of sent) {
    try {
      await (wait === 'accepted' ? message.accepted({ signal }) : message.delivered({ signal }))
      print(
        json === true ? jsonLine({ event: message.status().state, id: message.id }) : `${message.status().state} ${message.id}`,
      )
    } catch (error) {
      const { state, cause } = message.status()
      if (state === 'failed') throw new CommandFailed(exitCodes.failed, `not delivered: ${visible(cause ?? 'unknown')}`)
      if (state === 'queued' && isHeld()) {
        throw new CommandFailed(
          exitCodes.trustHeld,
          'kept in the outbox: the keys of this account wait for your decision (parley verify --decide)',
        )
      }
      const { connection } = agent
      if (state === 'queued' && connection.state === 'stopped') throw letGo(visible(connection.reason ?? 'unknown'))
      if (state === 'queued') {
        const why = connection.reason === undefined ? '' : ` (${visible(connection.reason)})`
        throw new CommandFailed(
          exitCodes.queued,
          `kept in the outbox: no relay has accepted it yet${why}; any later command sends it`,
        )
      }
      if (isMessagingError(error)) throw error
      throw new CommandFailed(exitCodes.queued, 'accepted, but not delivered yet')
    }
  }
}

export type ListenOptions = Home & {
  readonly json?: boolean | undefined
  readonly events?: boolean | undefined
  readonly count?: number | undefined
}

/** Prints messages as they come, until interrupted or `count` are handled, or the relay has let go of this device. */
export async function listen(options: ListenOptions): Promise<void> {
  const agent = await open({ home: homeOf(options) })
  const stop = interruptible()
  const { signal } = stop
  let ended: string | undefined
  const moved = watchForEnd(agent, (reason) => {
    ended = reason
    stop.abort()
  })
  const paint = painter({ isTerminal: process.stdout.isTTY, noColor: process.env['NO_COLOR'] })
  let left = options.count ?? Number.POSITIVE_INFINITY
  try {
    if (options.events === true) {
      agent.watch(printEvent)
      printEvent({ kind: 'connection', status: agent.connection })
    } else warnOnce(agent)
    for await (const message of agent.messages(chat.text, { signal })) {
      if (options.json === true) print(jsonLine(toJson(message)))
      else
        print(`${paint.dim(visible(message.id))} ${message.attempt} ${paint.peer(nameOf(message))} ${visible(message.body.text)}`)
      moved()
      left--
      if (left <= 0) break
    }
    if (ended !== undefined) throw letGo(ended)
  } finally {
    await agent.close()
  }
}

/** Talks with one account, line by line. */
export async function chatWith(address: string, options: Home): Promise<void> {
  const agent = await open({ home: homeOf(options) })
  const interrupt = interruptible()
  const { signal } = interrupt
  let ended: string | undefined
  const moved = watchForEnd(agent, (reason) => {
    ended = reason
    interrupt.abort()
  })
  const paint = painter({ isTerminal: process.stdout.isTTY, noColor: process.env['NO_COLOR'] })
  const lines = createInterface({ input: process.stdin, output: process.stdout, prompt: `${agent.address}> ` })
  const show = (line: string): void => {
    // The prompt is drawn again below what came meanwhile.
    process.stdout.write(`\r\u001b[K${line}\n`)
    lines.prompt(true)
    moved()
  }
  try {
    const stop = new AbortController()
    signal.addEventListener('abort', () => stop.abort(), { once: true })
    const reading = agent.handle(chat.text, (message) => show(`${paint.peer(nameOf(message))}  ${visible(message.body.text)}`), {
      signal: stop.signal,
    })
    lines.prompt()
    lines.once('close', () => stop.abort())
    signal.addEventListener('abort', () => lines.close(), { once: true })
    lines.on('line', (line) => {
      if (line.trim() === '') lines.prompt()
      else void sendLine(agent, { address, line, show })
    })
    await reading
    if (ended !== undefined) throw letGo(ended)
  } finally {
    lines.close()
    await agent.close()
  }
}

async function sendLine(
  agent: Agent,
  { address, line, show }: { readonly address: string; readonly line: string; show(line: string): void },
): Promise<void> {
  try {
    const sent = await agent.send(address, chat.text({ text: line }))
    show(`  queued ${sent.id}`)
    await sent.accepted()
    show(`  accepted ${sent.id}`)
  } catch (error) {
    show(`  ${error instanceof Error ? visible(error.message) : 'failed'}`)
  }
}

function toJson(message: Message<{ readonly text: string }>): Record<string, unknown> {
  const { id, attempt, from, body, peer, threadId, referentId, copy, gap, late } = message
  return {
    id,
    attempt,
    from,
    text: body.text,
    thread_id: threadId,
    ...(referentId === undefined ? {} : { referent_id: referentId }),
    ...(copy ? { copy, to: peer } : {}),
    ...(gap === undefined ? {} : { gap }),
    ...(late ? { late } : {}),
  }
}

function nameOf(message: Message<unknown>): string {
  return message.copy ? `${visible(message.from)} to ${visible(message.peer)}` : visible(message.from)
}

/** Says on standard error that the relay refuses this device, which goes on trying: somebody may let it in. */
function warnOnce(agent: Agent): void {
  const stop = agent.watch((event) => {
    if (event.kind !== 'connection' || event.status.retryable || event.status.state !== 'waiting') return
    process.stderr.write(`parley: the relay refuses this device: ${visible(event.status.reason ?? 'unknown')}; trying again\n`)
    stop()
  })
}

function printEvent(event: AgentEvent): void {
  if (event.kind === 'connection') print(jsonLine({ event: 'connection', ...event.status }))
  else {
    const { kind, ...rest } = event
    print(jsonLine({ event: kind, ...rest }))
  }
}

function print(line: string): void {
  process.stdout.write(`${line}\n`)
}
