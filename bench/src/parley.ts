/**
 * Parley: the General JSON serialization, and the binary one cut into a body for all and an entry per recipient.
 * @module
 */
import {
  type Backend,
  importKey,
  openJwe,
  publicJwk,
  readCompactJws,
  readJose,
  sealJwe,
  signCompactOctets,
  toGeneralJweOctets,
  verifyJws,
} from '@parley/jose'
import { noble } from '@parley/jose/noble'
import { decryptEnvelope, readEnvelope, sealSigned } from '@parley/jwm'
import { type Contestant, type Prepared, random, type Work } from './work.ts'

function prepareKeys({ signer, recipients, reader }: Work, backend?: Backend) {
  const options = backend === undefined ? {} : { backend }
  const readerJwk = recipients[reader]
  if (readerJwk === undefined) throw new RangeError('reader must be one of the recipients')
  return {
    signing: importKey(signer, options),
    verifying: importKey(publicJwk(signer), options),
    recipients: recipients.map((jwk) => ({ kid: jwk.kid ?? '', key: importKey(publicJwk(jwk), options) })),
    reading: importKey(readerJwk, options),
  }
}

function verified(message: Uint8Array, key: ReturnType<typeof importKey>): Uint8Array {
  const read = readCompactJws(message)
  if (!read.ok) throw new Error(read.code)
  const outcome = verifyJws(read.jws, { keys: [key] })
  if (!outcome.ok) throw new Error(outcome.code)
  return outcome.payload
}

export const parleyJson: Contestant = { name: 'parley JSON', prepare: (work) => prepareJson(work) }

/** The same on the backend of pure JavaScript. */
export const parleyNoble: Contestant = { name: 'parley noble', prepare: (work) => prepareJson(work, noble) }

async function prepareJson(work: Work, backend?: Backend): Promise<Prepared> {
  const keys = prepareKeys(work, backend)
  const seal = (): Uint8Array => {
    const signed = signCompactOctets(work.payload, { key: keys.signing, typ: 'JWM' })
    const { recipients } = keys
    return toGeneralJweOctets(sealJwe(signed, { recipients, random, protected: { typ: 'JWM', cty: 'JWM' } }))
  }
  const sealed = new TextDecoder().decode(seal())
  const kids = [keys.reading.kid ?? '']
  return {
    seal,
    bytes: sealed.length,
    open() {
      const read = readJose(sealed, undefined, { kids })
      if (!read.ok || read.kind !== 'jwe') throw new Error('not a JWE')
      const opened = openJwe(read.jwe, { keys: [keys.reading] })
      if (!opened.ok) throw new Error(opened.code)
      return verified(opened.plaintext, keys.verifying)
    },
  }
}

export const parleyBinary: Contestant = {
  name: 'parley binary',
  async prepare(work) {
    const keys = prepareKeys(work)
    const seal = () => {
      const signed = signCompactOctets(work.payload, { key: keys.signing, typ: 'JWM' })
      return sealSigned(signed, { recipients: keys.recipients, random })
    }
    const { body, entries } = seal()
    const entry = entries[work.reader]?.entry ?? new Uint8Array(0)
    return {
      seal,
      bytes: entries.reduce((sum, { entry }) => sum + entry.length, body.length),
      open() {
        const read = readEnvelope(entry, body)
        if (!read.ok) throw new Error(read.code)
        const opened = decryptEnvelope(read.envelope, keys.reading)
        if (!opened.ok) throw new Error(opened.code)
        return verified(opened.message, keys.verifying)
      },
    }
  },
}
