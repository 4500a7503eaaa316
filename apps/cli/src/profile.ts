/**
 * The profile that a command works on: `--home`, else PARLEY_HOME, else `.parley` in the user's folder.
 * @module
 */
import { homedir } from 'node:os'
import { join } from 'node:path'
import { type Agent, AgentError } from '@parley/agent'
import { type OpenAgentOptions, openAgent } from '@parley/agent/node'
import { chat } from '@parley/protocols/chat'
import { trustPing } from '@parley/protocols/trust-ping'
import { CommandFailed, exitCodes } from './exit.ts'
import { visible } from './show.ts'

export function homeOf(options: { readonly home?: string | undefined }): string {
  return options.home ?? process.env['PARLEY_HOME'] ?? join(homedir(), '.parley')
}

/** The value of `--relay`; one that no agent would dial is a mistake in the command line, said before anything is made. */
export function relayUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined
  const isLoopback = ['127.0.0.1', '[::1]', 'localhost'].includes(url?.hostname ?? '')
  if (url?.protocol === 'wss:' || (url?.protocol === 'ws:' && isLoopback)) return text
  throw new TypeError(`--relay: ${text} is not a wss:// URL, nor ws:// on loopback`)
}

/** Opens the agent of the profile; with `address` and `relay` makes it. */
export function open(options: Pick<OpenAgentOptions, 'home' | 'address' | 'relay' | 'invite' | 'onRecoveryKey'>): Promise<Agent> {
  return openAgent({ ...options, protocols: [chat, trustPing] })
}

/** Closes the agent. What an earlier command left in the outbox goes first, where the relay is there to take it. */
export async function leave(agent: Agent): Promise<void> {
  const giveUp = new AbortController()
  const look = (): void => {
    if (agent.connection.state === 'waiting' || agent.connection.state === 'stopped') giveUp.abort()
  }
  agent.watch(look)
  look()
  const timer = setTimeout(() => giveUp.abort(), sendingMsMax)
  // What does not go now stays where it is.
  await agent.drained({ signal: giveUp.signal }).catch(() => {})
  clearTimeout(timer)
  await agent.close()
}

/** Waits until the relay has let the agent in; fails with the relay's word when it never will. */
export async function untilReady(agent: Agent, signal: AbortSignal): Promise<void> {
  try {
    await agent.connected({ signal })
  } catch (error) {
    if (error instanceof AgentError)
      throw new CommandFailed(exitCodes.failed, `the relay refused: ${visible(error.reason ?? '')}`)
    throw new CommandFailed(
      exitCodes.queued,
      `the relay has not let this device in: ${visible(agent.connection.reason ?? 'no connection')}`,
    )
  }
}

/**
 * Calls `onEnd` once the relay has let go of this device for good, and nothing was handed over for a while: what stands in the inbox is still
 * shown. Call what it answers when something was handed over.
 */
export function watchForEnd(agent: Agent, onEnd: (reason: string) => void): () => void {
  let timer: NodeJS.Timeout | undefined
  const look = (): void => {
    const { state, reason = 'unknown' } = agent.connection
    if (state !== 'stopped' || reason === 'closed') return
    clearTimeout(timer)
    timer = setTimeout(() => onEnd(visible(reason)), lastWordsMs).unref()
  }
  agent.watch(look)
  look()
  return look
}

/** The end of a command whose device the relay will not hear any more. */
export function letGo(reason: string): CommandFailed {
  return new CommandFailed(exitCodes.failed, `the relay has let go of this device for good: ${reason}`)
}

const lastWordsMs = 500
/** How long a command that has nothing to send itself waits for what is in the outbox. */
const sendingMsMax = 3000

/** Aborts on Ctrl-C, on SIGTERM, after `timeoutMs` when given, and when the caller aborts it. */
export function interruptible(timeoutMs?: number): AbortController {
  const controller = new AbortController()
  const abort = (): void => controller.abort(new Error('interrupted'))
  process.once('SIGINT', abort)
  process.once('SIGTERM', abort)
  // Not AbortSignal.timeout and any: a signal that only a combined one refers to may be collected before its time comes.
  if (timeoutMs !== undefined) setTimeout(() => controller.abort(new Error('timeout')), timeoutMs).unref()
  return controller
}

export function interruption(timeoutMs?: number): AbortSignal {
  return interruptible(timeoutMs).signal
}

/** Milliseconds out of `10`, `10s`, `500ms` or `2m`; plain numbers are seconds. */
export function parseDuration(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m)?$/.exec(text)
  if (match === null) throw new TypeError(`--timeout: ${text} is not a duration like 500ms, 10s or 2m`)
  const unit = { ms: 1, s: 1000, m: 60_000 }[match[2] ?? 's'] ?? 1000
  return Number(match[1]) * unit
}
