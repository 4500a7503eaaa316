/**
 * Message definitions: a type URI and a schema for the body (Standard Schema v1, so zod, valibot, arktype and others).
 * A definition is also the function that makes such a message.
 * @module
 */
import { type Json, type JsonObject, type Result, utf8 } from '@parley/core'
import type { StandardSchemaV1 } from '@standard-schema/spec'
import { type BodyProblemCode, KernelError, type KernelErrorCode } from './errors.ts'
import { bodyBytesMax } from './limits.ts'
import { toPlain } from './plain.ts'

/** A message that is ready for `send`. */
export type Outgoing = {
  readonly type: string
  readonly body: JsonObject
  /** The message this one answers. */
  readonly referentId?: string
  /** The thread to continue. */
  readonly threadId?: string
}

/** What a new message belongs to. */
export type OutgoingOptions = { readonly referentId?: string; readonly threadId?: string }

/** A kind of message. Call it with a body to make one; it throws a `KernelError` when the schema refuses the body. */
export type MessageDefinition<Schema extends StandardSchemaV1 = StandardSchemaV1, Secret extends boolean = boolean> = {
  (body: StandardSchemaV1.InferInput<Schema>, options?: OutgoingOptions): Outgoing
  /** The type URI on the wire. */
  readonly type: string
  readonly schema: Schema
  /** Size limit of the body as JSON text. */
  readonly bytesMax: number
  /** The body carries a secret key: machines get the message without it, and it is never delivered to an application. */
  readonly secret: Secret
}

/** A message definition whatever its body. */
// biome-ignore lint/suspicious/noExplicitAny: only `any` accepts definitions of every body type here.
export type AnyMessage = MessageDefinition<StandardSchemaV1<any, any>>
/** The messages of a protocol by the names that its machines use. */
export type Messages = { readonly [name: string]: AnyMessage }

/** A body as its sender gives it. */
export type BodyInput<M extends AnyMessage> = StandardSchemaV1.InferInput<M['schema']>
/** A body as its reader gets it. */
export type BodyOutput<M extends AnyMessage> = StandardSchemaV1.InferOutput<M['schema']>

/** Defines a kind of message. */
export function defineMessage<const Schema extends StandardSchemaV1, const Secret extends boolean = false>(definition: {
  readonly type: string
  readonly body: Schema
  readonly bytesMax?: number
  readonly secret?: Secret
}): MessageDefinition<Schema, Secret> {
  const { type, body: schema, bytesMax = bodyBytesMax } = definition
  if (!/^[a-z][a-z0-9+.-]*:[!-~]{1,200}$/.test(type)) throw new TypeError('defineMessage: type must be an absolute URI')
  if (!Number.isSafeInteger(bytesMax) || bytesMax < 2) throw new RangeError('defineMessage: bytesMax must be a positive integer')
  if (isAsynchronous(schema)) throw new KernelError('ERR_KERNEL_SCHEMA_ASYNCHRONOUS', 'a body schema must answer at once')
  const make = (body: StandardSchemaV1.InferInput<Schema>, options: OutgoingOptions = {}): Outgoing => {
    const plain = toPlain(body, bytesMax)
    // The reader's schema runs on what went through JSON, so ours does too.
    const checked = plain.ok ? readBody(message, plain.value) : plain
    if (!plain.ok || !checked.ok) throw refusal(checked.ok ? 'not-json' : checked.code)
    // readBody takes objects only.
    return { type, body: plain.value as JsonObject, ...options }
  }
  // `false` is what the type parameter stands for when the option is left out.
  const message = Object.assign(make, { type, schema, bytesMax, secret: (definition.secret ?? false) as Secret })
  return message
}

/** Checks a body against its definition; the answer holds what the schema made of it. */
export function readBody<M extends AnyMessage>(
  message: M,
  body: Json | undefined,
): Result<{ readonly body: BodyOutput<M> }, BodyProblemCode> {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) return { ok: false, code: 'body-invalid' }
  if (utf8(JSON.stringify(body)).length > message.bytesMax) return { ok: false, code: 'body-too-large' }
  let result: ReturnType<(typeof message.schema)['~standard']['validate']>
  try {
    result = message.schema['~standard'].validate(body)
  } catch {
    return { ok: false, code: 'body-invalid' }
  }
  if (isPromise(result)) return { ok: false, code: 'schema-asynchronous' }
  return result.issues === undefined ? { ok: true, body: result.value as BodyOutput<M> } : { ok: false, code: 'body-invalid' }
}

// Finds schemas that are asynchronous all through; those that are only for some bodies are refused when it shows.
function isAsynchronous(schema: StandardSchemaV1): boolean {
  try {
    return isPromise(schema['~standard'].validate({}))
  } catch {
    return false
  }
}

function isPromise<T>(result: T | Promise<T>): result is Promise<T> {
  if (typeof result !== 'object' || result === null || !('then' in result)) return false
  // Nobody waits for it, so its rejection must not count as unhandled.
  void Promise.resolve(result).catch(() => {})
  return true
}

function refusal(code: BodyProblemCode | 'not-json' | 'too-large'): KernelError {
  const errors: Record<typeof code, readonly [KernelErrorCode, string]> = {
    'body-invalid': ['ERR_KERNEL_BODY_INVALID', 'the body does not fit the schema of its message type'],
    'not-json': ['ERR_KERNEL_BODY_INVALID', 'the body is not plain JSON'],
    'body-too-large': ['ERR_KERNEL_BODY_TOO_LARGE', 'the body is larger than its message type allows'],
    'too-large': ['ERR_KERNEL_BODY_TOO_LARGE', 'the body is larger than its message type allows'],
    'schema-asynchronous': ['ERR_KERNEL_SCHEMA_ASYNCHRONOUS', 'a body schema must answer at once'],
  }
  return new KernelError(...errors[code])
}
