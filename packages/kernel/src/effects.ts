/**
 * What a step wants done, out of the actions that xstate returned: effects for the agent, deadlines and calls for the record.
 * Runs nothing: `exec` of an action is never called.
 * @module
 */
import { type Address, type DeviceId, isJsonObject, type Json, type JsonObject, type Result, toDeviceId } from '@parley/core'
import type { ProblemCode } from './errors.ts'
import type { Seal } from './events.ts'
import { kernelLimits } from './limits.ts'
import { readBody } from './message.ts'
import { toPlain } from './plain.ts'
import { messageNamed, type Protocol } from './protocol.ts'
import type { Deadline, OpenCall, Received, ThreadRecord } from './thread.ts'

/** Something for the agent to do when the step is committed. */
export type Effect =
  | {
      readonly kind: 'send'
      readonly to: Address
      /** Only these devices of `to`. */
      readonly devices?: readonly DeviceId[]
      /** Name of the message in its protocol. */
      readonly message: string
      readonly type: string
      readonly body?: JsonObject
      /** In place of `body`: the id of the call whose secret result is the body. */
      readonly bodyFrom?: string
      readonly threadId: string
      readonly referentId?: string
      readonly seal?: Seal
    }
  | { readonly kind: 'emit'; readonly name: string; readonly params: JsonObject }
  | { readonly kind: 'deliver'; readonly message: Received }
  | { readonly kind: 'call'; readonly id: string; readonly capability: string; readonly request: Json }

/** The part of a record that actions change. */
export type Outcome = {
  readonly effects: readonly Effect[]
  readonly deadlines: readonly Deadline[]
  readonly calls: readonly OpenCall[]
  readonly messages: number
  readonly called: number
}

/** The body of a command, which was found to fit this message: it is the very object, so it is not looked at again. */
export type Checked = { readonly name: string; readonly body: Json }

type Action = { readonly type: string; readonly params: unknown }
type Scene = {
  readonly protocol: Protocol
  readonly record: ThreadRecord
  readonly now: number
  readonly message?: Received | undefined
  readonly checked?: Checked | undefined
}

/** Reads the actions of one step, in their order. */
export function readActions(actions: readonly Action[], scene: Scene): Result<Outcome, ProblemCode> {
  const { record } = scene
  const effects: Effect[] = []
  const deadlines = new Map(record.deadlines.map((deadline) => [deadline.id, deadline]))
  const calls = [...record.calls]
  let { messages, called } = record
  for (const action of actions) {
    const params = isObject(action.params) ? action.params : {}
    switch (action.type) {
      case 'xstate.raise': {
        // Without a delay xstate has handled it inside the step.
        if (params['delay'] === undefined) break
        const deadline = readDeadline(params, scene.now)
        if (deadline === undefined) return invalid
        // Set anew, it counts from now and stands behind the others.
        deadlines.delete(deadline.id)
        deadlines.set(deadline.id, deadline)
        break
      }
      case 'xstate.cancel':
        if (typeof params['sendId'] === 'string' && !params['sendId'].startsWith('kernel.')) deadlines.delete(params['sendId'])
        break
      case 'send': {
        const effect = readSend(params, scene)
        if (effect === undefined) return invalid
        effects.push(effect)
        messages += 1
        break
      }
      case 'emit': {
        const { name, ...rest } = params
        const plain = toPlain(rest, kernelLimits.stateCharsMax)
        if (typeof name !== 'string' || !plain.ok || !isJsonObject(plain.value)) return invalid
        effects.push({ kind: 'emit', name, params: plain.value })
        break
      }
      case 'deliver':
        if (scene.message === undefined || scene.protocol.kernelOnly || isSecret(scene)) return invalid
        effects.push({ kind: 'deliver', message: scene.message })
        break
      case 'call': {
        const { capability } = params
        const plain = toPlain(params['request'], kernelLimits.stateCharsMax)
        if (typeof capability !== 'string' || !plain.ok) return invalid
        if (!scene.protocol.capabilities.some((declared) => declared.name === capability)) return invalid
        const call = { id: `${capability}.${++called}`, capability, request: plain.value }
        calls.push(call)
        effects.push({ kind: 'call', ...call })
        break
      }
      default:
        return invalid
    }
  }
  if (effects.length > kernelLimits.effectsMax) return { ok: false, code: 'effects-exceeded' }
  if (deadlines.size > kernelLimits.deadlinesMax) return { ok: false, code: 'deadlines-exceeded' }
  if (calls.length > kernelLimits.callsMax) return { ok: false, code: 'calls-exceeded' }
  if (messages > scene.protocol.limits.threadMessagesMax) return { ok: false, code: 'thread-messages-exceeded' }
  return { ok: true, effects, deadlines: [...deadlines.values()], calls, messages, called }
}

const invalid = { ok: false, code: 'effect-invalid' } as const

function readDeadline(params: Record<string, unknown>, now: number): Deadline | undefined {
  const { delay, event } = params
  const plain = toPlain(event, kernelLimits.stateCharsMax)
  if (typeof delay !== 'number' || !(delay >= 0) || !Number.isSafeInteger(Math.ceil(now + delay))) return undefined
  if (!plain.ok || !isJsonObject(plain.value) || typeof plain.value['type'] !== 'string') return undefined
  const id = typeof params['id'] === 'string' ? params['id'] : plain.value['type']
  if (id.startsWith('kernel.')) return undefined
  // The check above; a spread would lose it.
  return { id, at: Math.ceil(now + delay), event: plain.value as Deadline['event'] }
}

function readSend(params: Record<string, unknown>, { protocol, record, checked }: Scene): Effect | undefined {
  const { message: name, body, bodyFrom, referentId, to = record.peer, devices, seal } = params
  const message = typeof name === 'string' ? messageNamed(protocol, name) : undefined
  const address = [record.peer, ...record.also].find((known) => known === to)
  if (message === undefined || typeof name !== 'string' || address === undefined) return undefined
  if (referentId !== undefined && typeof referentId !== 'string') return undefined
  const only = devices === undefined ? undefined : readDevices(devices)
  if (devices !== undefined && only === undefined) return undefined
  const sealed = seal === undefined ? undefined : toPlain(seal, kernelLimits.stateCharsMax)
  if (sealed !== undefined && !(sealed.ok && isJsonObject(sealed.value) && isJsonObject(sealed.value['jwk']))) return undefined
  const isChecked = checked !== undefined && body === checked.body && name === checked.name && !message.secret
  // A checked body is an object.
  const content = isChecked ? { body: checked.body as JsonObject } : readContent(body, bodyFrom, message)
  if (content === undefined) return undefined
  return {
    kind: 'send',
    to: address,
    ...(only === undefined ? {} : { devices: only }),
    message: name,
    type: message.type,
    ...content,
    threadId: record.threadId,
    ...(referentId === undefined ? {} : { referentId }),
    // Checked above.
    ...(sealed?.ok === true ? { seal: sealed.value as Seal } : {}),
  }
}

function readContent(
  body: unknown,
  bodyFrom: unknown,
  message: NonNullable<ReturnType<typeof messageNamed>>,
): { body: JsonObject } | { bodyFrom: string } | undefined {
  if (bodyFrom !== undefined) return typeof bodyFrom === 'string' && body === undefined ? { bodyFrom } : undefined
  // A secret in an effect would have been in the machine.
  if (message.secret) return undefined
  const plain = toPlain(body, message.bytesMax)
  if (!plain.ok || !isJsonObject(plain.value) || !readBody(message, plain.value).ok) return undefined
  return { body: plain.value }
}

function readDevices(devices: unknown): readonly DeviceId[] | undefined {
  if (!Array.isArray(devices) || devices.length === 0) return undefined
  const ids = devices.map((device: unknown) => (typeof device === 'string' ? toDeviceId(device) : undefined))
  return ids.every((id) => id !== undefined) ? ids : undefined
}

function isSecret({ protocol, message }: Scene): boolean {
  return Object.values(protocol.messages).some((known) => known.type === message?.type && known.secret)
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}
