/**
 * What applications said, against what applications were handed: the checks that hold in every simulation. Each text is
 * said once, so a text tells who said it, to whom, and whether it may be handed over here.
 */
import type { Message } from '@parley/agent'
import type { Address, ThreadId } from '@parley/core'
import { chat } from '@parley/protocols/chat'
import type { SimDevice, World } from '@parley/testing'

export type Said = {
  readonly text: string
  readonly from: SimDevice
  readonly to: Address
  /** Devices of both accounts that were there when it was said, the sender left out. */
  readonly readers: readonly SimDevice[]
  /** The thread it was said in, and how many its device had said there before. */
  readonly thread?: { readonly name: string; readonly place: number }
  /** Once `send` resolved, and from then on promised. */
  id?: string
  /** The sender was told that it failed. A receipt of one device may overrule that later, and says nothing of the others. */
  failed?: true
}

export interface Ledger {
  readonly said: readonly Said[]
  /** Sends a text that nobody said before, as a reply if there is what to reply to; answers when `send` does, also when it fails. */
  say(from: SimDevice, to: Address, options?: { readonly reply?: Message; readonly thread?: ThreadId }): Promise<void>
  /** Whether everything promised has arrived at every addressed device, or its sender was told how it ended. */
  isSettled(): boolean
  /** What is not. */
  lost(): readonly string[]
  /** What must never happen: hand-overs of what was not said, to whom it was not said, twice, or out of order without a word. */
  offences(): readonly string[]
}

/** In every text: what must never stand on a link or in a relay's store, as the type and attribute names around it. */
export const secrets: readonly string[] = ['a secret text', 'urn:parley:chat', 'thread_id']

export function createLedger(world: World): Ledger {
  const said: Said[] = []
  const byText = new Map<string, Said>()
  // Asked after every event, so what was settled once is not looked at again.
  let unsettled: Said[] = []

  let isLooking = false

  const open = (one: Said): boolean => one.id !== undefined && !isDelivered(world, one) && !isFailed(one)
  const stillOpen = (): readonly Said[] => {
    unsettled = unsettled.filter((one) => one.id === undefined || open(one))
    return unsettled.filter(({ id }) => id !== undefined)
  }
  // A failure is seen although a receipt overrules it later.
  const look = (): void => {
    isLooking = stillOpen().length > 0
    if (isLooking) world.schedule.at(world.schedule.time() + 1_000, look)
  }
  return {
    said,
    async say(from, to, { reply, thread } = {}) {
      const readers = world.devices.filter(
        (device) => device !== from && (device.address === to || device.address === from.address),
      )
      const text = `a secret text ${said.length} of ${from.name}`
      const place = said.filter((other) => other.from === from && other.thread?.name === thread).length
      const one: Said = { text, from, to, readers, ...(thread === undefined ? {} : { thread: { name: thread, place } }) }
      const options =
        reply === undefined
          ? thread === undefined
            ? {}
            : { threadId: thread }
          : { threadId: reply.threadId, referentId: reply.id }
      said.push(one)
      unsettled.push(one)
      byText.set(one.text, one)
      try {
        one.id = (await from.agent.send(to, chat.text({ text }, options))).id
        if (!isLooking) look()
      } catch {
        // A message whose send did not resolve promises nothing.
      }
    },
    isSettled: () => stillOpen().length === 0,
    lost: () => said.filter(open).map(({ id, from, to }) => `${id} of ${from.name} to ${to} was lost`),
    offences: () => [...foreign(world, byText), ...repeated(world), ...disordered(world, byText)],
  }
}

/** Whether a message is at every device that it is for, as a copy at the sender's other ones. */
export function isDelivered(world: World, { text, readers }: Said): boolean {
  return readers.every(({ name }) => handedIn(world).has(`${name} ${text}`))
}

const indexes = new WeakMap<World, { count: number; readonly names: Set<string> }>()

function handedIn(world: World): ReadonlySet<string> {
  const index = indexes.get(world) ?? { count: 0, names: new Set() }
  indexes.set(world, index)
  for (; index.count < world.handed.length; index.count++) {
    const one = world.handed[index.count]
    if (one !== undefined) index.names.add(`${one.device} ${one.text}`)
  }
  return index.names
}

/** Whether the sender was told, now or before, that it failed. */
function isFailed(one: Said): boolean {
  if (one.failed !== true && one.id !== undefined && one.from.isUp && one.from.agent.sent(one.id)?.status().state === 'failed')
    one.failed = true
  return one.failed === true
}

function foreign(world: World, byText: ReadonlyMap<string, Said>): readonly string[] {
  return world.handed.flatMap(({ device, address, text, message }) => {
    const one = byText.get(text)
    if (one === undefined) return [`${device} was handed what nobody said: ${text || message.type}`]
    if (one.from.address !== message.from) return [`${device} was handed a text of ${one.from.name} as from ${message.from}`]
    if (one.to !== address && one.from.address !== address) return [`${device} was handed a text to ${one.to}`]
    return []
  })
}

// Handed over again only when the first time came to nothing, and then with a higher number.
function repeated(world: World): readonly string[] {
  const seen = new Map<string, { readonly id: string; readonly attempt: number }>()
  const offences: string[] = []
  for (const { device, id, text, attempt } of world.handed) {
    const before = seen.get(`${device} ${text}`)
    if (before !== undefined && (attempt <= before.attempt || id !== before.id))
      offences.push(`${id} was handed to ${device} twice, as attempt ${attempt}`)
    seen.set(`${device} ${text}`, { id, attempt })
  }
  return offences
}

// Guarantee 2: per sending device and thread in the order said; what is missing before is named, what comes after it is late.
function disordered(world: World, byText: ReadonlyMap<string, Said>): readonly string[] {
  const last = new Map<string, number>()
  const offences: string[] = []
  // What is handed over again is out of its place, and was not missing.
  const again = new Set(world.handed.flatMap(({ device, text, attempt }) => (attempt > 1 ? [`${device} ${text}`] : [])))
  for (const { device, text, message } of world.handed) {
    const one = byText.get(text)
    if (one?.thread === undefined || message.late || again.has(`${device} ${text}`)) continue
    const { name, place } = one.thread
    const lane = `${device} ${one.from.name} ${name}`
    const before = last.get(lane) ?? -1
    if (place < before) offences.push(`${device} was handed ${text} after a later one`)
    const isMissing = (other: Said): boolean =>
      other.id !== undefined &&
      other.from === one.from &&
      other.thread?.name === name &&
      other.thread.place > before &&
      other.thread.place < place &&
      !again.has(`${device} ${other.text}`)
    // To a device that was let in later the thread begins with what it sees first (design §7).
    const begins = before === -1 && !device.endsWith('/1')
    if (!begins && message.gap === undefined && [...byText.values()].some(isMissing))
      offences.push(`${device} was handed ${text} without a word on what is missing before it`)
    last.set(lane, Math.max(before, place))
  }
  return offences
}
