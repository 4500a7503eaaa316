/**
 * Key statements (design §2): a device names its agreement key and so proves that it consents to the account. Signed by
 * the device, published beside the card, valid for 30 days; a device rotates its agreement key without the account key.
 * @module
 */
import { type DeviceId, type JsonObject, limits, type Result, toDeviceId } from '@parley/core'
import { type Jwk, type Key, publicJwk, thumbprint } from '@parley/jose'
import { readSigned, signMessage, verifySigned } from '@parley/jwm'
import { deviceOn, type ReadCard } from './card.ts'
import { isCount, isThumbprint, preparedKey, publicOkp } from './json.ts'

/** The purpose of the signature, as JWM `type`. */
export const statementType: string = 'urn:parley:kernel:1:statement'

export type Statement = {
  readonly device: DeviceId
  /** Thumbprint of the account key that the device belongs to. */
  readonly account: string
  /** X25519 public key; its `kid` in envelopes is its RFC 7638 thumbprint. */
  readonly agreementKey: Jwk
  /** Counts the statements of the device: the highest is in force. */
  readonly n: number
  /** NumericDate, seconds. */
  readonly issued: number
  readonly expiry: number
  /** Hash of the newest card that the device knows. */
  readonly head: string
}

export type StatementCode =
  | 'statement-malformed'
  | 'statement-signature-invalid'
  | 'statement-not-on-card'
  | 'statement-expired'
  | 'statement-other-account'

const statementBytesMax = 4096

/** Signs a statement with the device's signing key. */
export function signStatement(statement: Statement, options: { readonly key: Key }): string {
  const body = {
    device: statement.device,
    account: statement.account,
    agreement_key: publicJwk(statement.agreementKey) as unknown as JsonObject,
    n: statement.n,
    head: statement.head,
  }
  return signMessage(
    { type: statementType, timeStamp: statement.issued, expiry: statement.expiry, body },
    { signer: options.key },
  )
}

/** Reads a statement against the card that should name its device; `now` in milliseconds. */
export function readStatement(
  jws: string,
  options: { readonly card: ReadCard; readonly now: number },
): Result<{ readonly statement: Statement }, StatementCode> {
  const { card, now } = options
  if (jws.length > statementBytesMax) return { ok: false, code: 'statement-malformed' }
  const read = readSigned(jws)
  const device = read.ok && read.signed.kid !== undefined ? toDeviceId(read.signed.kid) : undefined
  if (!read.ok || device === undefined) return { ok: false, code: 'statement-malformed' }
  const found = deviceOn(card.card, device)
  if (found?.status !== 'active') return { ok: false, code: 'statement-not-on-card' }
  const key = preparedKey(found.device.signingKey)
  if (key === undefined) return { ok: false, code: 'statement-malformed' }
  const verified = verifySigned(read.signed, key)
  if (!verified.ok)
    return { ok: false, code: verified.code === 'signature-invalid' ? 'statement-signature-invalid' : 'statement-malformed' }
  const { type, body, timeStamp: issued, expiry } = verified.attributes
  const agreementKey = publicOkp(body?.['agreement_key'], 'X25519')
  const account = body?.['account']
  const n = body?.['n']
  const head = body?.['head']
  if (
    type !== statementType ||
    body?.['device'] !== device ||
    agreementKey === undefined ||
    issued === undefined ||
    expiry === undefined
  ) {
    return { ok: false, code: 'statement-malformed' }
  }
  if (!isThumbprint(account) || !isThumbprint(head) || !isCount(n)) return { ok: false, code: 'statement-malformed' }
  if (account !== card.account) return { ok: false, code: 'statement-other-account' }
  const tolerance = limits.clockToleranceMs
  const tooLong = (expiry - issued) * 1000 > limits.statementLifetimeMs
  if (tooLong || expiry * 1000 < now || issued * 1000 > now + tolerance) return { ok: false, code: 'statement-expired' }
  return { ok: true, statement: { device, account, agreementKey, n, issued, expiry, head } }
}

/** The `kid` of the statement's agreement key in envelopes. */
export function agreementKid(statement: Statement): string {
  return thumbprint(statement.agreementKey)
}

/** The statements in force among those that a relay served: per active device the valid one with the highest n. */
export function statementsInForce(
  list: readonly string[],
  options: { readonly card: ReadCard; readonly now: number },
): readonly Statement[] {
  const newest = new Map<DeviceId, Statement>()
  for (const jws of list) {
    const result = readStatement(jws, options)
    if (!result.ok) continue
    const known = newest.get(result.statement.device)
    if (known === undefined || known.n < result.statement.n) newest.set(result.statement.device, result.statement)
  }
  return [...newest.values()]
}
