/**
 * What needs a private key, as steps: signing and opening are generators that yield such a step and go on with its
 * outcome. One driver answers at once, the other awaits keys that answer later (a security module, WebCrypto), so that
 * there is one path through the code.
 * @module
 */
import { JoseError } from './errors.ts'
import { toPublicJwk } from './jwk.ts'
import { type Key, materialOf } from './key.ts'

/** A signature over `octets`, or the secret shared with `publicKey` (the u-coordinate, or x ‖ y). */
export type Step =
  | { readonly kind: 'sign'; readonly key: Key; readonly alg: string; readonly octets: Uint8Array }
  | { readonly kind: 'agree'; readonly key: Key; readonly publicKey: Uint8Array }

/** A computation in such steps. A step that fails goes on with `undefined`. */
export type Steps<T> = Generator<Step, T, Uint8Array | undefined>

/** Runs `steps` at once; a key that answers later throws `ERR_JOSE_KEY_ASYNCHRONOUS`. */
export function run<T>(steps: Steps<T>): T {
  let state = steps.next()
  while (!state.done) {
    const answer = take(state.value)
    if (answer instanceof Promise) {
      // Its outcome is nobody's.
      answer.catch(() => {})
      throw new JoseError('ERR_JOSE_KEY_ASYNCHRONOUS', 'the key answers later: use the asynchronous function')
    }
    state = steps.next(answer)
  }
  return state.value
}

/** Runs `steps` with keys that may answer later. What such a key throws comes out unchanged. */
export async function runAsync<T>(steps: Steps<T>): Promise<T> {
  let state = steps.next()
  while (!state.done) state = steps.next(await take(state.value))
  return state.value
}

function take(step: Step): Uint8Array | undefined | Promise<Uint8Array | undefined> {
  const { backend, scheme, signing, agreement, agreePrivate, opaque } = materialOf(step.key)
  if (step.kind === 'sign') {
    return opaque === undefined ? scheme?.sign(step.octets, signing, step.alg) : opaque.sign?.(step.octets, step.alg)
  }
  if (opaque !== undefined) return opaque.agree?.(toPublicJwk(step.key.crv ?? '', step.publicKey, backend))
  const prepared = agreement?.importPublic(step.publicKey)
  return prepared === undefined ? undefined : agreement?.agree(agreePrivate, prepared)
}
