/**
 * What an agent stores: the tables, their keys and rows (schema version 1). Rows are JSON; secret tables are sealed under
 * the store key, which lives outside the store. Changing a row here needs a migration in state.ts.
 * @module
 */
import type { Address, DeviceId, JsonObject, MessageId, StanzaId, ThreadId } from '@parley/core'
import type { Pin } from '@parley/identity'
import type { Jwk } from '@parley/jose'
import type { Received, Seal, ThreadRecord } from '@parley/kernel'
import type { AnswerLog, ErasedSession, HeldSession, KeyRequest, OwnSession } from '@parley/session'

/** A place in a relay's log (design §5). */
export type Position = { readonly epoch: string; readonly n: number }

/** Who this device is. Key: `profile`. */
export type ProfileRow = {
  readonly address: Address
  readonly device: DeviceId
  /** The device's own public keys. */
  readonly signingKey: Jwk
  /** 64 random bits, new at first start and after every restore (design §7). */
  readonly inc: string
  readonly relayUrl: string
  /** Thumbprint of the relay's key, pinned at the first login. */
  readonly relayKey?: string
  /** The relay knows this account: it was registered there, or its card names this device. */
  readonly registered: boolean
  /** The token of the invitation that the account is opened with; forgotten once it is open. */
  readonly invite?: string
  /** The key statement in force; `issued` in milliseconds. */
  readonly statement?: {
    readonly n: number
    readonly issued: number
    readonly jws: string
    readonly kid: string
    readonly published: boolean
  }
  /** The account's key as the person gave it when this device was linked: the card must bear it. */
  readonly expectedAccount?: string
}

/** Where a key stands on the way out of its thread: another key of the same record. Key: as `thread`. */
export type AliasRow = { readonly key: string }

/** What is known of the devices of an account. Key: address. */
export type StatementsRow = {
  readonly fetched: number
  readonly list: readonly string[]
  /** A card of this version exists, somebody said: the next message waits until it was asked for. */
  readonly outdated?: number
  /** Hashes of the cards that were taken, oldest first: a statement that names another one knows a newer card. */
  readonly heads?: readonly string[]
}

/** A peer as a conversation partner. Key: address. */
export type ConversationRow = {
  /** Last `seq` given to a message of this device (design §7). */
  readonly seq: number
  /** The person wrote to them or added them: they get delivered receipts. */
  readonly contact?: true
  /** Thumbprint of the account key out of a contact link, for first use. */
  readonly account?: string
  /** Hash of a card that contradicts the pinned ones and that the person turned down. */
  readonly declined?: string
}

/** The last message of this device in a thread. Key: `<peer> <thread id>`. */
export type TailRow = { readonly seq: number; readonly last?: number; readonly id?: MessageId }

/** Numbers seen of a sending device. Key: `<address> <device> <inc> <conversation>`. */
export type CounterRow = {
  /** The highest number seen. */
  readonly max: number
  /** Numbers below it that did not come; one that is in neither was given up when there were too many. */
  readonly holes: readonly number[]
  /** Numbers that a later message of their thread did not wait for any longer. */
  readonly missed?: readonly number[]
  /** Threads that went on without an earlier message, and the number they went on with: what comes below it is late. */
  readonly broken?: readonly (readonly [threadId: string, seq: number])[]
  /** Up to here all that is missing was named by a gap. */
  readonly named?: number
  /** What was said before this number was never for this device. */
  readonly first?: number
  /** Numbers that the sending device was asked for, and those that it has no more. */
  readonly asked?: readonly number[]
  readonly gone?: readonly number[]
  /** By the agent's age (see `AgeRow`); when a number was last noted. */
  readonly last?: number
}

/**
 * For how long this agent has run, in milliseconds, in all its processes: a time that no setting of a clock moves, by which numbers are
 * forgotten. And the times of time.ts when they were last noted. Key: `agent`.
 */
export type AgeRow = {
  readonly ms: number
  readonly steady?: number
  /** By how much `steady` was ahead of the wall clock. */
  readonly ahead?: number
  readonly sure?: number
}

/** Hashes of signed payloads by their numbers, for a run of numbers of a sequence. Key: `<counter's key> <slot>`. */
export type DigestRow = { readonly run: number; readonly hashes: { readonly [seq: string]: string } }

/** How many requests for missing messages of an account were answered since a time. Key: address. */
export type AskedRow = { readonly since: number; readonly count: number }

/** A message that waits to be sealed. Key: sortable number. */
export type OutboxRow = {
  readonly id: MessageId
  readonly to: Address
  readonly type: string
  readonly body: JsonObject
  readonly threadId?: string
  readonly referentId?: string
  /** Zero for kernel messages, which are not counted. */
  readonly seq: number
  readonly prev: number
  /** Milliseconds. */
  readonly sent: number
  readonly expiry: number
  /** Only these devices; sealed straight to their agreement keys. */
  readonly devices?: readonly DeviceId[]
  /** Sealed to this key alone. */
  readonly seal?: Seal
}

/**
 * A sealed stanza that no relay has accepted yet; or one that carried a message which was, for readers that miss it.
 * Key: sortable number.
 */
export type StanzaRow = {
  readonly id: StanzaId
  readonly to: Address
  readonly sent: number
  readonly expiry: number
  readonly entries: readonly (readonly [device: string, length: number])[]
  /** The application's message that it carries, if any. */
  readonly message?: MessageId
  /** Set when it carries a counted message to the conversation itself: the number, for readers that miss it. */
  readonly number?: { readonly inc: string; readonly seq: number }
  /** Devices that got it again. */
  readonly again?: readonly DeviceId[]
  /** Entries and body. */
  readonly bytes: Uint8Array
}

/** Where a sent message stands. */
export type SentState = 'queued' | 'accepted' | 'delivered' | 'displayed' | 'failed'

/** How a message of the application fares. Key: message id. */
export type SentRow = {
  readonly to: Address
  readonly threadId: string
  readonly state: SentState
  readonly cause?: string
  /** The code of a problem report of the recipient about it. */
  readonly problem?: string
  /** This device's message before it in the same thread. */
  readonly after?: MessageId
  readonly expiry: number
  /** base64url(SHA-256) of the signed payload, once it is sealed. */
  readonly hash?: string
  /** Stanzas that carry it to the recipient, and those of them without an answer; absent until it is sealed. */
  readonly stanzas?: readonly StanzaId[]
  readonly pending?: readonly StanzaId[]
}

/** A message for the application. Key: sortable number. */
export type InboxRow = {
  readonly message: Received
  readonly sent: number
  readonly received: number
  /** Hand-overs begun so far. */
  readonly attempt: number
  /** Numbers that did not come in time, first and last of each run; rows of 0.1.0 name one number alone. */
  readonly gap?: readonly (readonly [first: number, last: number] | number)[]
  /** It came after it had been given up. */
  readonly late?: true
  /** Why it was put aside, after its last attempt. */
  readonly parked?: string
}

/** Why a message waits: for a key, a card, the person's decision on keys or on a device that was compromised, a protocol, or an earlier message. */
export type LockCause =
  | 'key-unknown'
  | 'card-unknown'
  | 'card-outdated'
  | 'trust-held'
  | 'signer-removed'
  | 'protocol-unknown'
  | 'order'

/** A stanza that cannot be opened, or handed over, yet. Key: sortable number. */
export type LockedRow = {
  readonly cause: LockCause
  readonly from: Address
  /** The device that the relay says it came from: whom to ask. */
  readonly device: DeviceId
  /** The account whose card or key is missing. */
  readonly owner: Address
  /** For `key-unknown`. */
  readonly sid?: string
  /** For `order`: its own number, when its sender is asked for what is missing, and the message that must come before it. */
  readonly seq?: number
  readonly ask?: number
  readonly after?: {
    readonly from: Address
    readonly device: DeviceId
    readonly inc: string
    readonly conversation: Address
    readonly seq: number
  }
  readonly received: number
  readonly deadline: number
  readonly entryLength: number
  /** Entry and body. */
  readonly bytes: Uint8Array
}

/** A dial-back that waits for its answer; its private key stands in `key` under its thumbprint. Key: `<owner> <sid>`. */
export type RequestRow = { readonly request: KeyRequest; readonly threadId: ThreadId }

/** A receipt that waits to be sent. Key: sortable number. */
export type ReceiptRow = { readonly to: Address; readonly due: number; readonly id: string; readonly hash: string }

/** A private key. Key: `account`, `signing`, or the kid of an agreement or request key. */
export type KeyRow = { readonly jwk: Jwk; readonly created: number; readonly expiry?: number }

/** Which table holds which rows. */
export type Rows = {
  self: ProfileRow
  /** The last stanza handled here. Key: `relay`. */
  position: Position
  pin: Pin
  statements: StatementsRow
  conversation: ConversationRow
  tail: TailRow
  counter: CounterRow
  digest: DigestRow
  asked: AskedRow
  age: AgeRow
  outbox: OutboxRow
  stanza: StanzaRow
  sent: SentRow
  inbox: InboxRow
  locked: LockedRow
  request: RequestRow
  receipt: ReceiptRow
  thread: ThreadRecord
  alias: AliasRow
  key: KeyRow
  /** Session keys of others. Key: `<owner> <sid>`. */
  held: HeldSession
  /** Own session keys: the one in use as `<peer>`, retired ones as `<peer> <sid>`. */
  own: OwnSession
  /** Messages under the own session key in use. Key: `<peer>`. */
  use: { readonly sid: string; readonly count: number }
  erased: ErasedSession
  answers: AnswerLog
  /** What the application itself keeps, in the same batches. */
  app: { readonly bytes: Uint8Array }
}

export type Table = keyof Rows & string

export const tables: readonly Table[] = [
  'self',
  'position',
  'pin',
  'statements',
  'conversation',
  'tail',
  'counter',
  'digest',
  'asked',
  'age',
  'outbox',
  'stanza',
  'sent',
  'inbox',
  'locked',
  'request',
  'receipt',
  'thread',
  'alias',
  'key',
  'held',
  'own',
  'use',
  'erased',
  'answers',
  'app',
]

/** Tables whose rows are sealed under the store key. */
export const secretTables: readonly Table[] = ['held', 'key', 'own']

export function isSecret(table: Table): boolean {
  return secretTables.includes(table)
}

/** Tables whose rows are also found, counted and weighed by a group: who sent what is locked, who runs which protocol with whom. */
export const groupings: { readonly [table in Table]?: (row: never) => string } = {
  locked: ({ from }: LockedRow) => from,
  thread: ({ protocol, role, peer }: ThreadRecord) => `${protocol} ${role} ${peer}`,
  receipt: ({ to }: ReceiptRow) => to,
  outbox: ({ to }: OutboxRow) => to,
}
