/**
 * What every Parley package shares: ports, coded errors, limits, octets and identifiers. Depends on nothing.
 * @module
 */
export {
  base64url,
  base64urlLength,
  concat,
  equal,
  fromBase64url,
  fromUtf8,
  readU32,
  sortable,
  u32,
  utf8,
  utf8Into,
  writeAscii,
  writeBase64url,
} from './bytes.ts'
export {
  assert,
  CoreError,
  type CoreErrorCode,
  isMessagingError,
  MessagingError,
  type MessagingErrorOptions,
  type Result,
} from './errors.ts'
export {
  isJsonObject,
  type Json,
  type JsonErrorCode,
  type JsonLimits,
  type JsonObject,
  jsonLimits,
  parseJson,
  parseJsonObject,
} from './json.ts'
export { type Limits, limits } from './limits.ts'
export {
  type Address,
  type DeviceId,
  type Domain,
  domainOf,
  fromImUri,
  type MessageId,
  parseAddress,
  type SessionId,
  type StanzaId,
  type ThreadId,
  toAddress,
  toDeviceId,
  toDomain,
  toImUri,
  toMessageId,
  toSessionId,
  toStanzaId,
  toThreadId,
  uuidUrnFrom,
} from './names.ts'
export {
  type Clock,
  type Connection,
  type ConnectionHandlers,
  type DialOptions,
  type HttpRequest,
  type HttpResponse,
  type Listener,
  type ListenOptions,
  type Random,
  type RequestOptions,
  type Store,
  type StoreOp,
  type StoreRange,
  silent,
  type Telemetry,
  type Transport,
} from './ports.ts'
