/**
 * The five ports through which everything below apps/ touches the world.
 * `@parley/platform` binds them to a machine, `@parley/core/sim` to a simulated network.
 * @module
 */

/** Time. Two readings: the wall clock may jump, the monotonic one never does. */
export interface Clock {
  /** Milliseconds since 1970-01-01T00:00:00Z. */
  now(): number
  /** Milliseconds since an unspecified start. */
  monotonic(): number
  /** Calls `fn` once when `monotonic()` has reached `ms`; the answer cancels it. */
  at(ms: number, fn: () => void): () => void
}

/** Cryptographically strong randomness: keys, CEKs, IVs, ids. */
export interface Random {
  bytes(length: number): Uint8Array
}

export type StoreOp =
  | { readonly type: 'put'; readonly key: string; readonly value: Uint8Array }
  | { readonly type: 'del'; readonly key: string }

/** A range of keys in ascending order of their UTF-8 octets. */
export type StoreRange = {
  readonly gt?: string
  readonly gte?: string
  readonly lt?: string
  readonly lte?: string
  readonly reverse?: boolean
  readonly limit?: number
}

/** An ordered key-value store. Keys are ASCII strings; absence is `undefined`. */
export interface Store {
  get(key: string): Promise<Uint8Array | undefined>
  getMany(keys: readonly string[]): Promise<(Uint8Array | undefined)[]>
  /** All or nothing. With `durable` the answer comes after the bytes are synced to the medium, and so are all earlier ones. */
  batch(ops: readonly StoreOp[], options: { readonly durable: boolean }): Promise<void>
  /** Entries of the range as they were when the iteration began. */
  iterate(range: StoreRange): AsyncIterable<readonly [key: string, value: Uint8Array]>
  /** Deletes the range; not atomic, not synced. */
  clear(range: StoreRange): Promise<void>
  /** Rewrites the range so that deleted values leave the medium as far as the engine allows. */
  compact(range: StoreRange): Promise<void>
  stats(): Promise<{ readonly bytes: number }>
  close(): Promise<void>
}

/** One WebSocket connection carrying binary messages. */
export interface Connection {
  readonly subprotocol: string
  /** The remote network address, for limits; empty when unknown. */
  readonly peer: string
  /** Octets accepted by `send` and not yet handed to the network. */
  readonly bufferedBytes: number
  /** Call once. Frames that came before are delivered then, in order. */
  start(handlers: ConnectionHandlers): void
  /** Never throws; on a closed connection it does nothing. */
  send(frame: Uint8Array): void
  /** Stops reading from the network until `resume`, so that the peer slows down. */
  pause(): void
  resume(): void
  /** The peer has proved who it is: `earlyBytesMax` bounds it no more. */
  admit(): void
  /** Starts an orderly close (RFC 6455 §7.4: 1000, or 4000 to 4999 with a coded reason). */
  close(code: number, reason: string): void
}

export interface ConnectionHandlers {
  onFrame(frame: Uint8Array): void
  /** Exactly once, whoever closed. 1006 when the connection broke. */
  onClose(code: number, reason: string): void
  /** `bufferedBytes` fell to zero after having been above it. */
  onDrain?(): void
  /** More than `earlyBytesMax` came before `admit`, and no more is read; what was read may still come. Without this handler the connection is closed with 1009. */
  onExcess?(): void
}

export type HttpRequest = {
  readonly method: string
  readonly path: string
  readonly body: Uint8Array
  readonly peer: string
}
export type HttpResponse = {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body: Uint8Array
}

export interface Listener {
  readonly port: number
  close(): Promise<void>
}

export type DialOptions = {
  readonly subprotocols: readonly string[]
  readonly frameBytesMax: number
  readonly timeoutMs: number
  /** Asked for each address the host name resolves to; `false` refuses it. Absent, every address will do. */
  allowAddress?(address: string): boolean
  readonly signal?: AbortSignal
}

export type ListenOptions = {
  readonly host?: string
  readonly port: number
  readonly subprotocols: readonly string[]
  readonly frameBytesMax: number
  /** Octets that a connection may bring before `admit`; without it, frames are bounded from the start as they are later. */
  readonly earlyBytesMax?: number
  onConnection(connection: Connection): void
  onRequest?(request: HttpRequest): Promise<HttpResponse>
}

export type RequestOptions = {
  readonly bytesMax: number
  readonly timeoutMs: number
  /** Asked for each address the host name resolves to; `false` refuses it (private ranges and the like). */
  allowAddress(address: string): boolean
}

/** The network: WebSockets both ways, and guarded GET requests. */
export interface Transport {
  dial(url: string, options: DialOptions): Promise<Connection>
  listen(options: ListenOptions): Promise<Listener>
  request(url: string, options: RequestOptions): Promise<{ readonly status: number; readonly body: Uint8Array }>
}

/** What the operator or developer may see. Never carries keys, content or (unless asked) addresses. */
export interface Telemetry {
  event(name: string, fields?: Readonly<Record<string, string | number | boolean>>): void
  count(name: string, by?: number): void
  measure(name: string, value: number): void
}

/** Telemetry that goes nowhere. */
export const silent: Telemetry = { event() {}, count() {}, measure() {} }
