/**
 * A message of a running session: signed by its device, its content key wrapped once under the Session Master Key that
 * all readers have, beside the sender-key encryption of libsignal, which signs as well. What travels is measured, not the
 * agreement on keys before.
 * @module
 */

import { fromUtf8, uuidUrnFrom } from '@parley/core'
import { generateKey, importKey } from '@parley/jose'
import { type Attributes, decryptEnvelope, readEnvelope, sealMessage } from '@parley/jwm'
import {
  groupEncrypt,
  ProtocolAddress,
  SenderKeyDistributionMessage,
  type SenderKeyRecord,
  SenderKeyStore,
} from '@signalapp/libsignal-client'
import type { Task } from './measure.ts'
import { random } from './work.ts'

/** Senders and readers of one room; each task seals one message of 256 octets. */
export async function sessionTasks(): Promise<readonly Task[]> {
  return [parley('parley, 2 readers', 2), parley('parley, 1000 readers', 1000), await libsignal()]
}

const sid = 'c2Vzc2lvbi1tYXN0ZXI'

function parley(name: string, readers: number): Task {
  const signer = importKey(generateKey('Ed25519', { random }))
  const key = importKey({ ...generateKey('oct-256', { random }), kid: sid })
  const to = ['im:room@rooms.example']
  const text = 'a'.repeat(256)
  let seq = 0
  const seal = () => {
    const attributes: Attributes = {
      id: uuidUrnFrom(random.bytes(16)),
      type: 'urn:parley:chat:1:text',
      from: 'im:alice@a.example',
      to,
      threadId: 'urn:uuid:0b5d2c1e-8d8a-4c56-9d2f-0a3c6a1f5b10',
      timeStamp: 1_790_000_000,
      body: { text },
      others: { parley: { inc: 'AAAAAAAAAAA', seq: ++seq, prev: seq - 1, sid, card: 1 } },
    }
    return sealMessage(attributes, { signer, recipients: [{ kid: sid, key }], random })
  }
  // One entry stands for all readers, and the relay hands it to each.
  const { body, entries } = seal()
  const read = readEnvelope(entries[0]?.entry ?? body, body)
  const opened = read.ok ? decryptEnvelope(read.envelope, key) : read
  if (!opened?.ok || fromUtf8(opened.message)?.split('.').length !== 3) throw new Error(`${name} cannot be opened`)
  if (entries.length !== 1) throw new Error(`${entries.length} entries for ${readers} readers`)
  return { name, run: seal }
}

class Store extends SenderKeyStore {
  readonly #records = new Map<string, SenderKeyRecord>()
  async saveSenderKey(sender: ProtocolAddress, distributionId: string, record: SenderKeyRecord): Promise<void> {
    this.#records.set(`${sender.name()}.${sender.deviceId()} ${distributionId}`, record)
  }
  async getSenderKey(sender: ProtocolAddress, distributionId: string): Promise<SenderKeyRecord | null> {
    return this.#records.get(`${sender.name()}.${sender.deviceId()} ${distributionId}`) ?? null
  }
}

async function libsignal(): Promise<Task> {
  const sender = ProtocolAddress.new('9d0652a3-dcc3-4d11-975f-74d61598733f', 1)
  const room = 'd1d1d1d1-7000-11eb-b32a-33b8a8a487a6'
  const store = new Store()
  await SenderKeyDistributionMessage.create(sender, room, store)
  const message = Uint8Array.from({ length: 256 }, () => 97)
  return { name: 'libsignal sender key', run: () => groupEncrypt(sender, room, store, message) }
}
