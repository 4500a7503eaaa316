/**
 * `parley jwm make|open|inspect`: one JSON request a line in, one JSON result a line out, in order. This maps requests
 * to `@parley/jwm` and back; what the members mean is in this package's README.
 * @module
 */
import { type JsonObject, parseJsonObject, type Random, type Result } from '@parley/core'
import { type MadeCode, make } from './jwm-make.ts'
import { inspect, type OpenedCode, open } from './jwm-open.ts'
import { malformed } from './jwm-request.ts'

export const jwmVerbs = ['make', 'open', 'inspect'] as const
/** Every member of a request, for `--help`. */
export const jwmHelp = `
make     payload | payload_b64u | jwm | jwk | jwks | shared, entries
         sign_keys, recipients, form, order, enc, profile, algorithms, replicate, unsecured, unencoded, detached,
         aad_b64u, unprotected, zip, password_iterations, shown
open     jwm | jwm_b64u, keys, verify_keys
         profile, require, require_signature, require_encryption, require_commitment, origin, orders, algorithms,
         audience, holders, typ, required_attributes, now_ms, skew_ms, layers_max, bytes_max, payload_b64u, zip, content
inspect  jwm | jwm_b64u, split, keys

Keys are JWKs. What each member means is in the README of this program.`

export type JwmVerb = (typeof jwmVerbs)[number]

type Answer = Result<{ readonly result: JsonObject }, MadeCode | OpenedCode>

const requestLimits = { bytesMax: 64 * 1024 * 1024, depthMax: 64 }

/** Answers one line. Whatever stands in it, the answer is one line of JSON. */
export function runJwm(verb: JwmVerb, line: string | Uint8Array, { random }: { readonly random: Random }): string {
  const request = parseJsonObject(line, requestLimits)
  const answer = request.ok ? verbs[verb](request.value, random) : malformed
  const output: JsonObject = answer.ok ? { ok: true, ...answer.result } : { ok: false, error: answer.code }
  // Some readers of lines break at these too.
  return JSON.stringify(output).replaceAll('\u2028', '\\u2028').replaceAll('\u2029', '\\u2029')
}

export type JwmLinesOptions = {
  readonly random: Random
  /** Takes one answer with its line feed, and resolves when more may follow. */
  readonly write: (text: string) => Promise<void> | void
}

/** Answers the lines of `chunks` in order, each as soon as it is complete. */
export async function runJwmLines(
  verb: JwmVerb,
  chunks: AsyncIterable<Uint8Array>,
  { random, write }: JwmLinesOptions,
): Promise<void> {
  // node:readline also breaks at U+2028, which JSON strings may hold.
  let held: Uint8Array[] = []
  for await (const chunk of chunks) {
    let start = 0
    for (let end = chunk.indexOf(0x0a); end >= 0; end = chunk.indexOf(0x0a, start)) {
      held.push(chunk.subarray(start, end))
      await write(`${runJwm(verb, Buffer.concat(held), { random })}\n`)
      held = []
      start = end + 1
    }
    if (start < chunk.length) held.push(chunk.subarray(start))
  }
  if (held.length > 0) await write(`${runJwm(verb, Buffer.concat(held), { random })}\n`)
}

const verbs: { readonly [V in JwmVerb]: (request: JsonObject, random: Random) => Answer } = { make, open, inspect }
