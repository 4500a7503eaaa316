import { base64url, limits, toImUri } from '@parley/core'
import { generateKey, importKey } from '@parley/jose'
import { type Attributes, sealSigned, signMessage } from '@parley/jwm'
import { createSmk, type Smk, sessionKey } from '@parley/session'
import { beforeEach, describe, expect, it } from 'vitest'
import { type Numbers, toParley } from '../src/content.ts'
import type { InboundStanza } from '../src/inbound.ts'
import { type Opening, openStanza, type Sealed } from '../src/open.ts'
import { signNextCard, withoutDevice } from '../src/profile.ts'
import { cut, day, furtherDevice, knows, type Person, person, send, setCard, start } from './people.ts'

let alice: Person
let bob: Person
let smk: Smk

beforeEach(async () => {
  alice = await person('alice@a.test')
  bob = await person('bob@b.test')
  knows(alice, [bob])
  knows(bob, [alice])
  smk = makeSmk()
  hold('working')
})

const text = { type: 'urn:parley:chat:1:text', body: { text: 'hi' }, threadId: 't' }

function makeSmk(): Smk {
  const audience = [alice, bob].map(({ address, self }) => ({ address, account: self.account() ?? '', version: 1 }))
  const owner = { address: alice.address, device: alice.device }
  return createSmk({ owner, audience, now: start, random: alice.random })
}

function hold(status: 'working' | 'candidate'): void {
  bob.run((tx) => tx.put('held', sessionKey(alice.address, smk.sid), { smk, source: 'ahead', status, taken: start }))
}

type Forging = {
  readonly attributes?: Partial<Attributes>
  readonly numbers?: Partial<Numbers>
  /** Seals straight to bob's agreement key. */
  readonly direct?: boolean
  readonly signer?: Person
}

/** A message of alice to bob, made by hand, with something wrong. */
function forge({ attributes = {}, numbers = {}, direct = false, signer = alice }: Forging = {}): Sealed {
  const bound = direct ? { audience: smk.audience } : { sid: smk.sid }
  const all: Attributes = {
    id: 'urn:uuid:9b9d4d2c-0000-4000-8000-000000000000',
    type: text.type,
    from: toImUri(alice.address),
    to: [toImUri(bob.address)],
    timeStamp: start / 1000,
    expiry: (start + day) / 1000,
    body: text.body,
    others: toParley({ inc: alice.self.profile().inc, seq: 1, prev: 0, card: 1, ...bound, ...numbers }),
    ...attributes,
  }
  return seal(signMessage(all, { signer: signer.self.signer() }), direct)
}

function seal(jws: string, direct = false): Sealed {
  const agreement = bob.state.get('key', bob.self.profile().statement?.kid ?? '')?.jwk
  const recipient = direct
    ? { kid: bob.self.profile().statement?.kid ?? '', key: importKey(agreement as never) }
    : { kid: smk.sid, key: importKey(smk.key) }
  const { entries, body } = sealSigned(jws, { recipients: [recipient], random: alice.random })
  return { from: alice.address, device: alice.device, entry: entries[0]?.entry as Uint8Array, body }
}

const opened = (sealed: Sealed): Opening => openStanza(sealed, bob)
const refused = (code: string): Opening => ({ outcome: 'refused', code })

describe('what is opened', () => {
  it('names the device that signed, the session and the payload', () => {
    expect(opened(forge())).toMatchObject({
      outcome: 'opened',
      device: alice.device,
      under: { owner: alice.address, sid: smk.sid },
      content: { body: { text: 'hi' } },
    })
  })

  it('may be sealed straight to the agreement key, with its audience', () => {
    const opening = opened(forge({ direct: true }))
    expect(opening).toMatchObject({ outcome: 'opened' })
    expect(opening).not.toHaveProperty('under')
  })

  it('is what another device of the own account sent to others', async () => {
    const second = await furtherDevice(bob)
    knows(bob, [alice])
    knows(second, [alice])
    const { stanzas } = send(second, { ...text, to: alice.address })
    const [ahead, copy] = stanzas.flatMap((row) => cut(row, second, bob) ?? []) as [InboundStanza, InboundStanza]
    expect(openStanza(ahead, bob)).toMatchObject({ outcome: 'opened' })
    expect(openStanza(copy, bob)).toMatchObject({ outcome: 'locked', cause: 'key-unknown', owner: bob.address })
  })
})

describe('what is locked', () => {
  it('waits for its session key', () => {
    bob.run((tx) => tx.del('held', sessionKey(alice.address, smk.sid)))
    expect(opened(forge())).toEqual({ outcome: 'locked', cause: 'key-unknown', owner: alice.address, sid: smk.sid })
  })

  it('waits on when a candidate is the wrong key', () => {
    const sealed = forge()
    smk = { ...smk, key: { ...smk.key, k: base64url(new Uint8Array(32)) } }
    hold('candidate')
    expect(opened(sealed)).toMatchObject({ outcome: 'locked', cause: 'key-unknown' })
    hold('working')
    expect(opened(sealed)).toEqual(refused('decryption-failed'))
  })

  it('waits for the card of its sender, or a newer one', async () => {
    const other = await furtherDevice(alice)
    expect(opened(forge({ signer: other }))).toEqual({ outcome: 'locked', cause: 'card-outdated', owner: alice.address })
    bob.run((tx) => tx.del('pin', alice.address))
    expect(opened(forge())).toEqual({ outcome: 'locked', cause: 'card-unknown', owner: alice.address })
  })

  it('waits for the person while the sender is held', () => {
    bob.run((tx) => {
      const pin = tx.get('pin', alice.address)
      if (pin !== undefined) tx.put('pin', alice.address, { ...pin, held: { code: 'card-fork', proof: ['', ''] } })
    })
    expect(opened(forge())).toEqual({ outcome: 'locked', cause: 'trust-held', owner: alice.address })
  })

  it('waits for the person when somebody put another key in the place of ours, and says so', () => {
    const audience = smk.audience.map((member) => (member.address === bob.address ? { ...member, account: 'mallory' } : member))
    const held = { outcome: 'locked', cause: 'trust-held', owner: alice.address, code: 'identity-substituted' }
    expect(opened(forge({ direct: true, numbers: { audience } }))).toEqual(held)
    smk = { ...smk, audience }
    hold('working')
    expect(opened(forge())).toEqual(held)
  })
})

describe('what is refused', () => {
  it('is no envelope', () => {
    const { entry, body, ...rest } = forge()
    for (const broken of [
      { entry: new Uint8Array(), body },
      { entry, body: body.slice(0, -1) },
      { entry: body, body: entry },
    ])
      expect(opened({ ...rest, ...broken }).outcome).toBe('refused')
  })

  it('was changed on the way', () => {
    const sealed = forge()
    const last = sealed.body.length - 1
    const changed = { ...sealed, body: sealed.body.map((octet, i) => (i === last ? octet ^ 1 : octet)) }
    expect(opened(changed)).toEqual(refused('decryption-failed'))
  })

  it('is sealed to an agreement key that is gone', () => {
    const sealed = forge({ direct: true })
    bob.run((tx) => tx.del('key', bob.self.profile().statement?.kid ?? ''))
    expect(opened(sealed)).toEqual(refused('agreement-key-unknown'))
  })

  it('is not signed', () => {
    expect(opened(seal('hello')).outcome).toBe('refused')
  })

  it('is signed with a key that is not the one it names', () => {
    const key = importKey(generateKey('Ed25519', { random: alice.random }), { kid: alice.device })
    const jws = signMessage({ id: 'urn:uuid:9b9d4d2c-0000-4000-8000-000000000000', type: text.type }, { signer: key })
    expect(opened(seal(jws))).toEqual(refused('signature-invalid'))
  })

  it('is of a retired device and says that it was sent long after it retired', () => {
    removeSigner('retired')
    const at = (ms: number): Forging => ({ attributes: { timeStamp: ms / 1000 } })
    expect(opened(forge(at(start - day)))).toMatchObject({ outcome: 'opened' })
    expect(opened(forge(at(start + 2 * limits.clockToleranceMs)))).toEqual(refused('signer-removed'))
  })

  it('is no message of ours', () => {
    expect(opened(forge({ attributes: { others: {} } }))).toEqual(refused('content-malformed'))
  })

  it('names another sender than its stanza', () => {
    expect(opened(forge({ attributes: { from: 'im:carol@a.test' } }))).toEqual(refused('sender-mismatch'))
  })

  it('is addressed to somebody else', () => {
    expect(opened(forge({ attributes: { to: ['im:carol@b.test'] } }))).toEqual(refused('not-addressed'))
  })

  it('names another session than the key it is under', () => {
    expect(opened(forge({ numbers: { sid: 'AAAAAAAAAAAAAAAAAAAAAA' } }))).toEqual(refused('session-mismatch'))
  })

  it('is under the key of another of the account’s devices', () => {
    smk = { ...smk, owner: { ...smk.owner, device: bob.device } }
    hold('working')
    expect(opened(forge())).toEqual(refused('session-owner-mismatch'))
  })

  it('is under a key that is not for us, or was not yet or no longer in use', () => {
    const mine = smk.audience.filter(({ address }) => address !== bob.address)
    smk = { ...smk, audience: mine }
    hold('working')
    expect(opened(forge())).toEqual(refused('session-not-audience'))
    smk = { ...makeSmk(), sid: smk.sid, key: smk.key, notAfter: start - 2 * day }
    hold('working')
    expect(opened(forge())).toEqual(refused('session-out-of-time'))
  })

  it('is sealed straight to us and does not say for whom it is', () => {
    const sealed = forge({
      direct: true,
      attributes: { others: toParley({ inc: alice.self.profile().inc, seq: 1, prev: 0, card: 1 }) },
    })
    expect(opened(sealed)).toEqual(refused('audience-missing'))
    const others = smk.audience.filter(({ address }) => address !== bob.address)
    expect(opened(forge({ direct: true, numbers: { audience: others } }))).toEqual(refused('session-not-audience'))
  })

  it('comes to a device that no card names yet', () => {
    bob.run((tx) => tx.del('pin', bob.address))
    expect(opened(forge())).toEqual(refused('not-addressed'))
  })
})

it('says of what it opens that its device was compromised, whatever time it names', () => {
  removeSigner('compromised')
  for (const timeStamp of [start - day, start + 2 * limits.clockToleranceMs])
    expect(opened(forge({ attributes: { timeStamp: timeStamp / 1000 } }))).toMatchObject({ outcome: 'opened', compromised: true })
})

it('opens what a real sender sealed, the key ahead before the message', () => {
  const { stanzas } = send(alice, { ...text, to: bob.address })
  const kinds = stanzas.map((row) => row.entries.map(([device]) => device))
  expect(kinds).toEqual([[bob.device], ['*']])
  const [ahead] = stanzas.flatMap((row) => cut(row, alice, bob) ?? [])
  expect(openStanza(ahead as Sealed, bob)).toMatchObject({ outcome: 'opened', content: { type: 'urn:parley:kernel:1:key' } })
})

function removeSigner(reason: 'compromised' | 'retired'): void {
  const head = alice.self.card()
  if (head === undefined) throw new Error('no card')
  const devices = withoutDevice(head.card, alice.device, { reason, now: start })
  setCard(bob, alice.address, alice.run((tx) => signNextCard(tx, head, devices)).jws)
}
