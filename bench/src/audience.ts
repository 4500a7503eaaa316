/**
 * What a large audience costs its sender under a session key that runs: planning and sealing a message to 1,000 devices
 * against one to 2, with `to` held constant.
 * @module
 */
import { base64url, parseAddress, toDeviceId, uuidUrnFrom } from '@parley/core'
import { generateKey, importKey, type Key, publicJwk } from '@parley/jose'
import { type Attributes, sealMessage } from '@parley/jwm'
import { type AudienceDevice, type OwnSession, planSend, prepareAudience } from '@parley/session'
import { medians, type Task } from './measure.ts'
import { random } from './work.ts'

/** The ratio of the two medians. */
export async function audienceRatio({ quick }: { readonly quick: boolean }): Promise<number> {
  const tasks = [task('2', 2), task('1000', 1000)]
  const taken = await medians(tasks, { rounds: quick ? 5 : 31, batchMs: 20, warmUpMs: quick ? 100 : 500 })
  return Math.round((100 * (taken.get('1000') ?? 0)) / (taken.get('2') ?? 1)) / 100
}

function task(name: string, count: number): Task {
  const alice = parseAddress('alice@a.example')
  const room = parseAddress('room@rooms.example')
  const newId = () => toDeviceId(base64url(random.bytes(32))) as AudienceDevice['id']
  const agreement = publicJwk(generateKey('X25519', { random }))
  const owner = { address: alice, device: newId() }
  const devices = Array.from({ length: count }, (): AudienceDevice => ({ address: room, id: newId(), agreement }))
  const audience = prepareAudience({
    members: [alice, room].map((address) => ({ address, account: base64url(random.bytes(32)), version: 1 })),
    devices,
  })
  const signer = importKey(generateKey('Ed25519', { random }))
  const now = 1_800_000_000_000
  let session: OwnSession | undefined
  let uses = 0
  let key: Key | undefined
  let seq = 0
  const run = (): unknown => {
    const plan = planSend({ current: session, uses, conversation: room, owner, audience, now, random })
    if (plan.session !== session) key = importKey(plan.session.smk.key)
    session = plan.session
    // Renewal is another matter, which comes once in a thousand messages.
    uses = 1
    seq++
    const { sid } = session.smk
    const attributes: Attributes = {
      id: uuidUrnFrom(random.bytes(16)),
      type: 'urn:parley:chat:1:text',
      from: `im:${alice}`,
      to: [`im:${room}`],
      timeStamp: now / 1000,
      body: { text: 'a'.repeat(256) },
      others: { parley: { inc: 'AAAAAAAAAAA', seq, prev: seq - 1, sid, card: 1 } },
    }
    return sealMessage(attributes, { signer, recipients: [{ kid: sid, key: key as Key }], random })
  }
  return { name, run }
}
