import { getEventListeners } from 'node:events'
import { type Address, type DeviceId, utf8 } from '@parley/core'
import { createSimDisk, createSimRandom } from '@parley/core/sim'
import { chat } from '@parley/protocols/chat'
import { beforeEach, describe, expect, it } from 'vitest'
import { type Commit, createCommitter } from '../src/commit.ts'
import { createInbox, type InboxControl, type Message } from '../src/inbox.ts'
import { openState, type State } from '../src/state.ts'
import { createTime } from '../src/time.ts'

const from = 'alice@a.test' as Address
let disk: ReturnType<typeof createSimDisk>
let state: State
let commit: Commit
let inbox: InboxControl
let reports: string[]

async function open(): Promise<void> {
  const store = disk.open()
  state = await openState({ store, random: createSimRandom(2), storeKeys: [new Uint8Array(32)] })
  const clock = { now: () => 0, monotonic: () => 0, at: () => () => {} }
  commit = createCommitter({
    state,
    store,
    time: createTime(clock, undefined),
    onDiscard() {},
    onErased() {},
    onEffectFailed() {},
  }).commit
  reports = []
  inbox = createInbox({ state, commit, report: (code, of) => reports.push(`${code} ${of}`) })
}

beforeEach(async () => {
  disk = createSimDisk({ random: createSimRandom(1) })
  await open()
})

async function restart(): Promise<void> {
  disk.crash()
  await open()
}

async function come(...texts: string[]): Promise<void> {
  await commit((tx) => {
    for (const text of texts) {
      const message = { id: text, type: chat.text.type, body: { text }, from, device: 'd' as DeviceId, peer: from, threadId: 't' }
      tx.put('inbox', tx.next('inbox'), { message, sent: 1, received: 2, attempt: 0 })
    }
    tx.after(inbox.notice)
  })
}

const take = async (count: number): Promise<readonly [string, number][]> => {
  const taken: [string, number][] = []
  for await (const { id, attempt } of inbox.messages()) {
    taken.push([id, attempt])
    if (taken.length === count) break
  }
  return taken
}
const left = (): readonly string[] => [...state.rows('inbox')].map(([, { message }]) => message.id)
/** Lets everything that is under way come to rest. */
const rest = (): Promise<void> => new Promise((done) => setImmediate(done))

describe('the iterator', () => {
  it('hands over in order, and what is behind is handled', async () => {
    await come('one', 'two', 'three')
    expect(await take(2)).toEqual([
      ['one', 1],
      ['two', 1],
    ])
    expect(left()).toEqual(['three'])
  })

  it('waits for what comes', async () => {
    const taken = take(2)
    await come('one')
    await rest()
    await come('two')
    expect(await taken).toEqual([
      ['one', 1],
      ['two', 1],
    ])
  })

  it('misses nothing that comes while it marks the last one as handled', async () => {
    await come('one')
    const messages = inbox.messages()
    expect(await messages.next()).toMatchObject({ value: { id: 'one' } })
    const next = messages.next()
    const later = come('two')
    expect(await next).toMatchObject({ value: { id: 'two' } })
    await later
  })

  it('counts an attempt before it hands over, so that a crash in the middle shows', async () => {
    await come('one')
    const messages = inbox.messages()
    expect(await messages.next()).toMatchObject({ value: { attempt: 1 } })
    await restart()
    expect(await take(1)).toEqual([['one', 2]])
    await restart()
    expect(left()).toEqual([])
  })

  it('hands a rejected message over again', async () => {
    await come('one')
    const attempts: number[] = []
    for await (const message of inbox.messages()) {
      attempts.push(message.attempt)
      if (message.attempt < 3) message.reject()
      else break
    }
    expect(attempts).toEqual([1, 2, 3])
    expect(left()).toEqual([])
  })

  it('gives a message to one of several readers', async () => {
    await come('one', 'two')
    const both = await Promise.all([take(1), take(1)])
    expect(both.flat().sort()).toEqual([
      ['one', 1],
      ['two', 1],
    ])
  })

  it('hands over one type alone, its body read by the schema', async () => {
    await commit((tx) => {
      const message = { id: 'x', type: 'urn:other', body: {}, from, device: 'd' as DeviceId, peer: from, threadId: 't' }
      tx.put('inbox', tx.next('inbox'), { message, sent: 1, received: 2, attempt: 0 })
    })
    await come('one')
    for await (const message of inbox.messages(chat.text)) {
      expect(message.body.text).toBe('one')
      break
    }
    expect(left()).toEqual(['x'])
  })

  it('ends when its signal aborts, also between two messages and before it begins, and takes its listener away', async () => {
    const controller = new AbortController()
    const { signal } = controller
    let listeners = 0
    const counted = (name: 'addEventListener' | 'removeEventListener', by: number): PropertyDescriptor => ({
      value(...args: Parameters<AbortSignal['addEventListener']>) {
        listeners += by
        signal[name](...args)
      },
    })
    const counting = Object.create(signal, {
      aborted: { get: () => signal.aborted },
      addEventListener: counted('addEventListener', 1),
      removeEventListener: counted('removeEventListener', -1),
    }) as AbortSignal
    const messages = inbox.messages(undefined, { signal: counting })
    for (let i = 0; i < 5; i++) {
      const next = messages.next()
      await rest()
      await come(String(i))
      await next
    }
    expect(listeners).toBe(0)
    // Marking the last one takes a sync; the abort comes meanwhile.
    const last = messages.next()
    controller.abort()
    expect(await last).toMatchObject({ done: true })
    expect(left()).toEqual([])
    expect(listeners).toBe(0)
    expect(await inbox.messages(undefined, { signal }).next()).toMatchObject({ done: true })
  })

  it('ends when the agent closes, whatever it is doing', async () => {
    await come('one')
    const [idle, busy] = [inbox.messages(chat.text), inbox.messages()]
    await busy.next()
    const waiting = [idle.next(), busy.next()]
    inbox.close()
    for (const next of waiting) expect(await next).toMatchObject({ done: true })
  })
})

describe('a full disk', () => {
  it('keeps the message in hand until it can be marked', async () => {
    await come('one', 'two')
    const messages = inbox.messages()
    await messages.next()
    disk.full = true
    const next = messages.next()
    await rest()
    expect(left()).toEqual(['one', 'two'])
    expect(await Promise.race([inbox.messages().next(), rest().then(() => 'nothing')])).toBe('nothing')
    disk.full = false
    inbox.notice()
    expect(await Promise.race([next, rest().then(rest)])).toMatchObject({ value: { id: 'two', attempt: 1 } })
    expect(left()).toEqual(['two'])
  })
})

describe('message.commit', () => {
  const rows = [{ type: 'put', key: 'count', value: utf8('1') }] as const

  it('writes the rows of the application and marks the message, in one', async () => {
    await come('one')
    const { value } = (await inbox.messages().next()) as { value: Message }
    await value.commit(rows)
    await restart()
    expect(state.get('app', 'count')?.bytes).toEqual(utf8('1'))
    expect(left()).toEqual([])
  })

  it('writes neither when the process dies before, or the disk is full', async () => {
    await come('one')
    const { value } = (await inbox.messages().next()) as { value: Message }
    disk.full = true
    await expect(value.commit(rows)).rejects.toMatchObject({ code: 'ERR_AGENT_STORE_FAILED' })
    expect(state.get('app', 'count')).toBeUndefined()
    disk.full = false
    await value.commit(rows)
    expect(left()).toEqual([])
    expect(state.get('app', 'count')?.bytes).toEqual(utf8('1'))
  })

  it('happens once', async () => {
    await come('one')
    const { value } = (await inbox.messages().next()) as { value: Message }
    await value.commit(rows)
    await expect(value.commit([{ type: 'put', key: 'count', value: utf8('2') }])).rejects.toThrow(TypeError)
    expect(state.get('app', 'count')?.bytes).toEqual(utf8('1'))
  })

  it('counts more than a rejection before and a throw after it', async () => {
    await come('one')
    const controller = new AbortController()
    await inbox.handle(
      chat.text,
      async (message) => {
        message.reject()
        await message.commit([...rows, { type: 'del', key: 'none' }])
        controller.abort()
        throw new Error('too late')
      },
      { signal: controller.signal },
    )
    expect(left()).toEqual([])
  })
})

describe('handle', () => {
  it('hands over again what threw, and puts it aside after five attempts with the code of the last', async () => {
    await come('one', 'two')
    const controller = new AbortController()
    const seen: string[] = []
    await inbox.handle(
      chat.text,
      ({ id, attempt }) => {
        seen.push(`${id} ${attempt}`)
        if (id === 'two') return
        if (attempt === 5) controller.abort()
        throw Object.assign(new Error('no'), attempt === 5 ? { code: 'ERR_APP_BROKEN' } : {})
      },
      { signal: controller.signal },
    )
    expect(seen.filter((line) => line.startsWith('one'))).toEqual(['one 1', 'one 2', 'one 3', 'one 4', 'one 5'])
    expect(seen.filter((line) => line.startsWith('two'))).toEqual(['two 1'])
    expect(inbox.parked()).toMatchObject([{ cause: 'ERR_APP_BROKEN', from, type: chat.text.type }])
    expect(reports).toEqual([`parked ${from}`])
  })

  it('takes a parked message up again when it is asked to', async () => {
    await come('one')
    for (let i = 0; i < 5; i++) {
      for await (const message of inbox.messages()) {
        message.reject()
        break
      }
    }
    const [parked] = inbox.parked()
    expect(parked?.cause).toBe('rejected')
    await inbox.retry('no such key')
    expect(inbox.parked()).toHaveLength(1)
    await inbox.retry(parked?.key ?? '')
    expect(inbox.parked()).toEqual([])
    expect(await take(1)).toEqual([['one', 1]])
  })

  it('works on so many at the same time and no more', async () => {
    await come('1', '2', '3', '4', '5')
    const controller = new AbortController()
    let running = 0
    let most = 0
    let done = 0
    await inbox.handle(
      chat.text,
      async () => {
        running++
        most = Math.max(most, running)
        await rest()
        running--
        done++
        if (done === 5) controller.abort()
      },
      { concurrency: 2, signal: controller.signal },
    )
    expect(most).toBe(2)
    expect(left()).toEqual([])
  })

  it('listens to its signal once, however many it works on', async () => {
    const controller = new AbortController()
    const handling = inbox.handle(chat.text, () => {}, { concurrency: 64, signal: controller.signal })
    await rest()
    expect(getEventListeners(controller.signal, 'abort')).toHaveLength(1)
    controller.abort()
    await handling
    expect(getEventListeners(controller.signal, 'abort')).toHaveLength(0)
  })
})
