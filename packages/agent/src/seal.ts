/**
 * From the outbox to sealed stanzas, in one step: card, session key, key ahead, seal. Sealed octets are stored before
 * they are first sent, so that a message sent again is the same message.
 * @module
 */
import {
  type Address,
  concat,
  limits as coreLimits,
  type DeviceId,
  type Random,
  type StanzaId,
  toImUri,
  uuidUrnFrom,
} from '@parley/core'
import type { Pin } from '@parley/identity'
import { thumbprint } from '@parley/jose'
import { type Attributes, type MessageRecipient, sealMessage } from '@parley/jwm'
import { kernelPrefix } from '@parley/kernel'
import { type AudienceDevice, type AudienceMember, keyBody, keyType, planSend, type RenewalReason } from '@parley/session'
import { type Numbers, toParley } from './content.ts'
import { AgentError } from './errors.ts'
import type { Keyring } from './keyring.ts'
import type { OutboxRow } from './rows.ts'
import type { Self } from './self.ts'
import { settleSent } from './sent.ts'
import type { Tx } from './state.ts'

export type SealParts = {
  readonly self: Self
  readonly keyring: Keyring
  readonly random: Random
  /** After the commit: this stanza row is durable. */
  sealed(key: string): void
  /** After the commit: a session key was made, for a reason, and goes ahead to so many devices. */
  renewed(peer: Address, reason: RenewalReason, ahead: number): void
}

/** `wants` names the account whose card or statements are needed first. */
export type SealResult =
  | { readonly outcome: 'done' }
  | { readonly outcome: 'held' }
  | { readonly outcome: 'wants'; readonly address: Address }

const done: SealResult = { outcome: 'done' }

/** Seals one row of the outbox into stanzas, or says what it waits for. */
export function sealRow(tx: Tx, parts: SealParts, key: string): SealResult {
  const row = tx.get('outbox', key)
  if (row === undefined) return done
  if (row.expiry <= tx.now) {
    settleSent(tx, row.id, { state: 'failed', cause: 'expired' })
    tx.del('outbox', key)
    return done
  }
  const own = parts.self.pin()
  const pin = tx.get('pin', row.to)
  if (own === undefined) return { outcome: 'wants', address: parts.self.address }
  if (pin === undefined) return { outcome: 'wants', address: row.to }
  if (pin.held !== undefined) return { outcome: 'held' }
  const scene: Scene = { row, own, pin }
  const result =
    row.seal !== undefined || row.devices !== undefined ? sealDirect(tx, parts, scene) : sealUnderSession(tx, parts, scene)
  if (result.outcome === 'done') tx.del('outbox', key)
  return result
}

type Scene = { readonly row: OutboxRow; readonly own: Pin; readonly pin: Pin }

// To one key of the message's own making, or to named devices' agreement keys.
function sealDirect(tx: Tx, parts: SealParts, { row, own, pin }: Scene): SealResult {
  const { self, keyring } = parts
  const devices = row.devices ?? []
  const readers: { readonly device: DeviceId; readonly recipient: MessageRecipient }[] = []
  if (row.seal !== undefined) {
    const jwk = row.seal.jwk as never
    const recipient = { kid: thumbprint(jwk), key: keyring.key(jwk) }
    for (const device of devices) readers.push({ device, recipient })
  } else {
    const known = tx.get('statements', row.to)
    if (known === undefined) return { outcome: 'wants', address: row.to }
    for (const statement of keyring.statements(known, pin, tx.now)) {
      if (!devices.includes(statement.device)) continue
      readers.push({
        device: statement.device,
        recipient: { kid: thumbprint(statement.agreementKey), key: keyring.key(statement.agreementKey) },
      })
    }
  }
  if (readers.length === 0) {
    // What was known has run out, as after weeks offline: their relay may have newer statements.
    const isOld = row.seal === undefined && (tx.get('statements', row.to)?.fetched ?? 0) < row.sent
    // Devices without a valid statement cannot be written to; whoever asked them goes on to the next.
    return isOld ? { outcome: 'wants', address: row.to } : done
  }
  const member: AudienceMember = { address: row.to, account: pin.account, version: pin.version }
  const attributes = toAttributes(row, self, {
    inc: self.profile().inc,
    seq: row.seq,
    prev: row.prev,
    card: own.version,
    audience: [member],
  })
  const recipients =
    row.seal === undefined ? readers.map(({ recipient }) => recipient) : readers.slice(0, 1).map(({ recipient }) => recipient)
  const sealed = sealMessage(attributes, { signer: self.signer(), recipients, random: parts.random })
  const entries = readers.map(
    ({ device }, i) => [device, (sealed.entries[row.seal === undefined ? i : 0] as { entry: Uint8Array }).entry] as const,
  )
  putStanzas(tx, parts, { row, to: row.to, entries, body: sealed.body })
  return done
}

// Under the session key of the conversation, which goes ahead to every device that lacks it.
function sealUnderSession(tx: Tx, parts: SealParts, { row, own, pin }: Scene): SealResult {
  const { self, keyring, random } = parts
  const isNote = row.to === self.address
  const others = self.others()
  const theirs = tx.get('statements', row.to)
  // A device that was removed by a card that is known to exist gets nothing more.
  if (theirs === undefined || theirs.outdated !== undefined) return { outcome: 'wants', address: row.to }
  const ours = tx.get('statements', self.address)
  if (ours === undefined ? others.length > 0 : ours.outdated !== undefined) return { outcome: 'wants', address: self.address }
  const audience = keyring.audience({ pin, theirs, own, ours, device: self.device, now: tx.now })
  const current = tx.get('own', row.to)
  const use = tx.get('use', row.to)
  const plan = planSend({
    current,
    uses: use !== undefined && use.sid === current?.smk.sid ? use.count : 0,
    conversation: row.to,
    owner: { address: self.address, device: self.device },
    audience,
    now: tx.now,
    random,
  })
  if (plan.retired !== undefined) tx.put('own', `${row.to} ${plan.retired.smk.sid}`, plan.retired)
  if (plan.session !== current) tx.put('own', row.to, plan.session)
  tx.put('use', row.to, { sid: plan.session.smk.sid, count: plan.uses })
  const { renewed, ahead } = plan
  if (renewed !== undefined) tx.after(() => parts.renewed(row.to, renewed, ahead.length))
  const { smk } = plan.session
  const numbers: Numbers = { inc: self.profile().inc, seq: 0, prev: 0, card: own.version, audience: smk.audience }
  if (plan.ahead.length > 0)
    sealKeyAhead(tx, parts, { row, numbers, body: keyBody(smk), ahead: plan.ahead, audience: smk.audience })

  const attributes = toAttributes(row, self, { inc: numbers.inc, seq: row.seq, prev: row.prev, card: own.version, sid: smk.sid })
  const recipients = [{ kid: smk.sid, key: keyring.key(smk.key) }]
  const sealed = sealMessage(attributes, { signer: self.signer(), recipients, random })
  const entries = sealed.entries.map(({ entry }) => ['*', entry] as const)
  const number = row.seq === 0 ? {} : { number: { inc: numbers.inc, seq: row.seq } }
  const stanzas = isNote ? [] : putStanzas(tx, parts, { row, to: row.to, entries, body: sealed.body, ...number })
  const isKernel = row.type.startsWith(kernelPrefix)
  if (others.length > 0 && !isKernel) putStanzas(tx, parts, { row, to: self.address, entries, body: sealed.body })
  const sent = tx.get('sent', row.id)
  if (sent !== undefined) {
    tx.put('sent', row.id, { ...sent, hash: sealed.payloadHash, stanzas, pending: stanzas })
    if (stanzas.length === 0) settleSent(tx, row.id, { state: 'delivered' })
  }
  return done
}

type KeyAhead = {
  readonly row: OutboxRow
  readonly numbers: Numbers
  readonly body: NonNullable<Attributes['body']>
  readonly ahead: readonly AudienceDevice[]
  readonly audience: readonly AudienceMember[]
}

function sealKeyAhead(tx: Tx, parts: SealParts, { row, numbers, body, ahead, audience }: KeyAhead): void {
  const { self, keyring, random } = parts
  // A brand: uuidUrnFrom makes what MessageId stands for.
  const id = uuidUrnFrom(random.bytes(16)) as OutboxRow['id']
  const keyRow: OutboxRow = { id, to: row.to, type: keyType, body, seq: 0, prev: 0, sent: tx.now, expiry: row.expiry }
  const attributes: Attributes = { ...toAttributes(keyRow, self, numbers), to: audience.map(({ address }) => toImUri(address)) }
  const recipients = ahead.map(({ agreement }) => {
    if (agreement === undefined)
      throw new AgentError('ERR_AGENT_PROFILE_DAMAGED', 'a key goes ahead only to devices with an agreement key')
    return { kid: thumbprint(agreement), key: keyring.key(agreement) }
  })
  const sealed = sealMessage(attributes, { signer: self.signer(), recipients, random })
  for (const to of new Set(ahead.map(({ address }) => address))) {
    const entries = ahead.flatMap(({ address, id: device }, i) =>
      // Entries stand in the order of the recipients.
      address === to ? [[device, (sealed.entries[i] as { entry: Uint8Array }).entry] as const] : [],
    )
    putStanzas(tx, parts, { row: keyRow, to, entries, body: sealed.body })
  }
}

type Entries = readonly (readonly [device: string, entry: Uint8Array])[]

function putStanzas(
  tx: Tx,
  { random, sealed }: SealParts,
  {
    row,
    to,
    entries,
    body,
    number,
  }: {
    readonly row: OutboxRow
    readonly to: Address
    readonly entries: Entries
    readonly body: Uint8Array
    readonly number?: { readonly inc: string; readonly seq: number }
  },
): readonly StanzaId[] {
  const ids: StanzaId[] = []
  for (let i = 0; i < entries.length; i += coreLimits.stanzaEntriesMax) {
    const some = entries.slice(i, i + coreLimits.stanzaEntriesMax)
    // A brand: uuidUrnFrom makes what StanzaId stands for.
    const id = uuidUrnFrom(random.bytes(16)) as StanzaId
    ids.push(id)
    const key = tx.next('stanza')
    tx.after(() => sealed(key))
    tx.put('stanza', key, {
      id,
      to,
      sent: row.sent,
      expiry: row.expiry,
      entries: some.map(([device, entry]) => [device, entry.length]),
      message: row.id,
      ...(number === undefined ? {} : { number }),
      bytes: concat(...some.map(([, entry]) => entry), body),
    })
  }
  return ids
}

function toAttributes(row: OutboxRow, self: Self, numbers: Numbers): Attributes {
  return {
    id: row.id,
    type: row.type,
    from: toImUri(self.address),
    to: [toImUri(row.to)],
    ...(row.threadId === undefined ? {} : { threadId: row.threadId }),
    ...(row.referentId === undefined ? {} : { referentId: row.referentId }),
    timeStamp: row.sent / 1000,
    expiry: row.expiry / 1000,
    body: row.body,
    others: toParley(numbers),
  }
}
