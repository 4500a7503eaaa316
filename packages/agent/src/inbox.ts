/**
 * The durable inbox and its hand-over (design §7): a message is given out until it is handled. Every attempt is counted
 * durably before it begins. Asking for the next message, or leaving the loop, marks the last one as handled, unless it
 * was rejected; a handler that resolves has handled its message.
 * @module
 */
import { type Address, type DeviceId, isMessagingError, type JsonObject } from '@parley/core'
import { type AnyMessage, type BodyOutput, readBody } from '@parley/kernel'
import type { Commit } from './commit.ts'
import type { InboxRow } from './rows.ts'
import type { State, Tx } from './state.ts'

/** A message for the application: signed by a device on the pinned card of `from`, and addressed to this account. */
export type Message<Body = JsonObject> = {
  readonly id: string
  readonly type: string
  readonly body: Body
  readonly from: Address
  readonly device: DeviceId
  /** The other side of the conversation: `from`, or for a copy whom it was sent to. */
  readonly peer: Address
  readonly threadId: string
  readonly referentId?: string
  /** Milliseconds, by the sender's clock. */
  readonly sent: number
  /** 1 at the first hand-over. */
  readonly attempt: number
  /** Sent by another device of the own account. */
  readonly copy: boolean
  /** Its sender's numbers that are missing before this message, first and last of each run. */
  readonly gap?: readonly (readonly [first: number, last: number])[]
  /** It was reported missing before. */
  readonly late: boolean
  /** Not handled: it is handed over again, and put aside after its last attempt. */
  reject(cause?: unknown): void
  /** Marks it as handled together with the application's own rows: exactly once, whatever crashes. */
  commit(rows: readonly AppOp[]): Promise<void>
}

/** A write to the application's own rows in the agent's store. */
export type AppOp =
  | { readonly type: 'put'; readonly key: string; readonly value: Uint8Array }
  | { readonly type: 'del'; readonly key: string }

/** How `handle` works. */
export type HandleOptions = {
  /** Messages handled at the same time. */
  readonly concurrency?: number
  readonly signal?: AbortSignal
}

/** The calls of an agent that are about received messages. */
export interface Inbox {
  /** Messages of one type, or of every type, as they come. Asking for the next, or leaving the loop, marks the last as handled, unless it was rejected. */
  messages<M extends AnyMessage>(
    type: M,
    options?: { readonly signal?: AbortSignal },
  ): AsyncIterableIterator<Message<BodyOutput<M>>>
  /** Messages of every type. */
  messages(type?: undefined, options?: { readonly signal?: AbortSignal }): AsyncIterableIterator<Message>
  /** Resolves when `signal` aborts or the agent closes. */
  handle<M extends AnyMessage>(
    type: M,
    fn: (message: Message<BodyOutput<M>>) => Promise<void> | void,
    options?: HandleOptions,
  ): Promise<void>
  /** Messages whose last attempt failed. */
  parked(): readonly { readonly key: string; readonly cause: string; readonly from: Address; readonly type: string }[]
  /** Hands a parked message over again. */
  retry(key: string): Promise<void>
}

/** The inside of the inbox: what the agent itself calls. */
export interface InboxControl extends Inbox {
  /** New rows, or rows that were freed. */
  notice(): void
  /** Hands nothing over any more; resolves when the handlers that run have ended and their messages are marked. */
  stop(): Promise<void>
  close(): void
}

/** When to hand over no more; a change of the signal is listened for only while there is nothing to hand over. */
type Until = { isStopped(): boolean; readonly signal?: AbortSignal | undefined }

/** Attempts before a message is put aside. */
const attemptsMax = 5

type Taken = {
  readonly key: string
  readonly message: Message<unknown>
  done: boolean
  rejected: unknown | undefined
  isRejected: boolean
}

export function createInbox(parts: {
  readonly state: State
  readonly commit: Commit
  report(code: string, from: Address): void
}): InboxControl {
  const { state, commit } = parts
  const inHand = new Set<string>()
  const waiting = new Set<() => void>()
  let changes = 0
  let stopped = false
  let closed = false
  const loops = new Set<Promise<void>>()

  const wake = (): void => {
    changes++
    for (const go of [...waiting]) go()
  }

  // Resolves at the first change after `seen`, which may have come while the caller was looking.
  const change = (seen: number, { signal, isStopped }: Until): Promise<void> =>
    new Promise((done) => {
      if (changes !== seen || isStopped()) {
        done()
        return
      }
      const go = (): void => {
        waiting.delete(go)
        signal?.removeEventListener('abort', go)
        done()
      }
      waiting.add(go)
      signal?.addEventListener('abort', go, { once: true })
    })

  const find = (type: AnyMessage | undefined): string | undefined => {
    for (const [key, row] of state.rows('inbox')) {
      if (!inHand.has(key) && row.parked === undefined && (type === undefined || row.message.type === type.type)) return key
    }
    return undefined
  }

  // Ends the one before and begins the next in one batch.
  const exchange = async (last: Taken | undefined, type: AnyMessage | undefined): Promise<Taken | undefined> => {
    const key = find(type)
    if (key === undefined) {
      if (last !== undefined) await finish(last)
      return undefined
    }
    inHand.add(key)
    const wasDone = last?.done === true
    try {
      const row = await commit((tx) => {
        if (last !== undefined) settle(tx, last)
        const found = tx.get('inbox', key)
        if (found === undefined) return undefined
        const counted = { ...found, attempt: found.attempt + 1 }
        tx.put('inbox', key, counted)
        return counted
      })
      if (last !== undefined) inHand.delete(last.key)
      if (row === undefined) {
        inHand.delete(key)
        return undefined
      }
      return take(key, row, type)
    } catch (error) {
      inHand.delete(key)
      if (last !== undefined) last.done = wasDone
      throw error
    }
  }

  const finish = async (taken: Taken): Promise<void> => {
    if (!taken.done) {
      try {
        await commit((tx) => settle(tx, taken))
      } catch (error) {
        taken.done = false
        throw error
      }
    }
    inHand.delete(taken.key)
    wake()
  }

  const settle = (tx: Tx, taken: Taken): void => {
    if (taken.done) return
    taken.done = true
    const row = tx.get('inbox', taken.key)
    if (row === undefined) return
    if (!taken.isRejected) tx.del('inbox', taken.key)
    else if (row.attempt >= attemptsMax) {
      tx.put('inbox', taken.key, { ...row, parked: causeText(taken.rejected) })
      tx.after(() => parts.report('parked', row.message.from))
    }
  }

  const take = (key: string, row: InboxRow, type: AnyMessage | undefined): Taken => {
    const { message: received } = row
    const read = type === undefined ? undefined : readBody(type, received.body)
    const taken: Taken = {
      key,
      done: false,
      rejected: undefined,
      isRejected: false,
      message: {
        ...received,
        body: read?.ok === true ? read.body : received.body,
        copy: received.copy === true,
        sent: row.sent,
        attempt: row.attempt,
        ...(row.gap === undefined ? {} : { gap: row.gap.map((run) => (typeof run === 'number' ? [run, run] : run)) }),
        late: row.late === true,
        reject(cause) {
          taken.isRejected = true
          taken.rejected = cause
        },
        async commit(rows) {
          if (taken.done) throw new TypeError('commit: this message was handled before')
          taken.isRejected = false
          try {
            await commit((tx) => {
              for (const op of rows) {
                if (op.type === 'put') tx.put('app', op.key, { bytes: op.value })
                else tx.del('app', op.key)
              }
              settle(tx, taken)
            })
          } catch (error) {
            taken.done = false
            throw error
          }
        },
      },
    }
    return taken
  }

  async function* iterate(type: AnyMessage | undefined, until: Until): AsyncIterableIterator<Message<never>> {
    let last: Taken | undefined
    try {
      for (;;) {
        if (stopped || until.isStopped()) return
        const seen = changes
        try {
          last = await exchange(last, type)
        } catch (error) {
          // Nothing was handed over or marked; when the store takes batches again, the agent says so.
          if (!isMessagingError(error) || !error.retryable) throw error
          await change(seen, until)
          continue
        }
        // The type is the caller's definition, whose schema has read the body.
        if (last !== undefined) yield last.message as Message<never>
        else await change(seen, until)
      }
    } finally {
      if (last !== undefined) {
        try {
          if (!closed) await finish(last)
        } finally {
          inHand.delete(last.key)
        }
      }
    }
  }

  const handleOne = async (
    type: AnyMessage,
    fn: (message: Message<never>) => Promise<void> | void,
    until: Until,
  ): Promise<void> => {
    for await (const message of iterate(type, until)) {
      try {
        await fn(message)
      } catch (error) {
        message.reject(error)
      }
    }
  }

  return {
    // One implementation behind two signatures; the iterator's type follows from the definition given.
    messages: (type?: AnyMessage, options: { readonly signal?: AbortSignal } = {}) =>
      iterate(type, { signal: options.signal, isStopped: () => options.signal?.aborted === true }) as never,
    async handle(type, fn, { concurrency = 1, signal } = {}) {
      const run = fn as (message: Message<never>) => Promise<void> | void
      // One listener for all of them.
      const stop = new AbortController()
      const abort = (): void => {
        stop.abort()
        wake()
      }
      signal?.addEventListener('abort', abort, { once: true })
      if (signal?.aborted === true) stop.abort()
      const mine = Array.from({ length: concurrency }, () => handleOne(type, run, { isStopped: () => stop.signal.aborted }))
      for (const loop of mine) loops.add(loop)
      try {
        await Promise.all(mine)
      } finally {
        for (const loop of mine) loops.delete(loop)
        signal?.removeEventListener('abort', abort)
      }
    },
    parked() {
      return [...state.rows('inbox')].flatMap(([key, { parked, message }]) =>
        parked === undefined ? [] : [{ key, cause: parked, from: message.from, type: message.type }],
      )
    },
    async retry(key) {
      await commit((tx) => {
        const row = tx.get('inbox', key)
        if (row?.parked === undefined) return
        const { parked: _, ...rest } = row
        tx.put('inbox', key, { ...rest, attempt: 0 })
        tx.after(wake)
      })
    },
    notice: wake,
    async stop() {
      stopped = true
      wake()
      await Promise.allSettled(loops)
    },
    close() {
      stopped = true
      closed = true
      wake()
    },
  }
}

function causeText(cause: unknown): string {
  const { code } = (cause ?? {}) as { readonly code?: unknown }
  return typeof code === 'string' ? code : 'rejected'
}
