/**
 * Opens up a subject in any form, so that one change serves all of them: its headers, its base64url fields, its entries,
 * and how to put it together again.
 * @module
 */
import { concat, fromBase64url, fromUtf8, u32, utf8 } from '@parley/core'
import { backend } from '@parley/jose'
import type { Subject } from './corpus.ts'
import { decodeHeader, encodeHeader, isMembers, type Members, memberOf, parse, render, setMember, type Tree } from './tree.ts'

export type Spot<T> = { readonly name: string; get(): T; set(value: T): unknown }

export type Dissected = {
  readonly headers: readonly Spot<Members>[]
  /** The values in base64url; of the binary forms as well. */
  readonly fields: readonly Spot<string>[]
  /** The JSON text, where it is one. */
  readonly tree: Members | undefined
  /** The parts again; `write` renders the tree in another way. */
  build(write?: (tree: Tree) => string | Uint8Array): readonly (string | Uint8Array)[]
}

export function dissect(subject: Subject): Dissected | undefined {
  const [first = ''] = subject.parts
  if (subject.form === 'json' || subject.form === 'urlsafe') return dissectJson(subject)
  if (subject.form === 'compact') return typeof first === 'string' ? dissectCompact(first, subject) : undefined
  return dissectBinary(subject)
}

const names = {
  fields: ['payload', 'signature', 'encrypted_key', 'aad', 'iv', 'ciphertext', 'tag', 'protected'],
  headers: ['unprotected', 'header'],
} as const

function dissectJson({ form, parts }: Subject): Dissected | undefined {
  const [text, ...rest] = parts
  const plain = typeof text !== 'string' ? undefined : form === 'json' ? text : fromUtf8(fromBase64url(text) ?? new Uint8Array(0))
  const tree = plain === undefined ? undefined : parse(plain)
  if (!isMembers(tree)) return undefined
  const owners = [tree, ...entriesOf(tree).filter(isMembers)]
  const fields = owners.flatMap((owner) =>
    names.fields.filter((name) => typeof memberOf(owner, name)?.value === 'string').map((name) => fieldIn(owner, name)),
  )
  const headers = owners.flatMap((owner) => [
    ...names.headers.filter((name) => isMembers(memberOf(owner, name)?.value)).map((name) => headerIn(owner, name)),
    ...protectedIn(owner),
  ])
  return {
    headers,
    fields,
    tree,
    build(write = render) {
      const made = write(tree)
      if (form === 'json') return [made, ...rest]
      return [backend.base64url(typeof made === 'string' ? utf8(made) : made), ...rest]
    },
  }
}

/** The entries of `recipients` or `signatures`. */
export function entriesOf(tree: Members): Tree[] {
  const found = memberOf(tree, 'recipients')?.value ?? memberOf(tree, 'signatures')?.value
  return Array.isArray(found) ? found : []
}

function fieldIn(owner: Members, name: string): Spot<string> {
  return { name, get: () => String(memberOf(owner, name)?.value ?? ''), set: (value) => setMember(owner, name, value) }
}

// The spot was made for a member that holds an object.
function headerIn(owner: Members, name: string): Spot<Members> {
  return {
    name,
    get: () => memberOf(owner, name)?.value as Members,
    set: (value) => setMember(owner, name, value),
  }
}

function protectedIn(owner: Members): Spot<Members>[] {
  const header = decodeHeader(memberOf(owner, 'protected')?.value)
  return header === undefined
    ? []
    : [{ name: 'protected', get: () => header, set: (value) => setMember(owner, 'protected', encodeHeader(value)) }]
}

const compactNames: { readonly [count: number]: readonly string[] | undefined } = {
  3: ['protected', 'payload', 'signature'],
  5: ['protected', 'encrypted_key', 'iv', 'ciphertext', 'tag'],
}

function dissectCompact(text: string, { parts }: Subject): Dissected | undefined {
  const pieces = text.split('.')
  const header = decodeHeader(pieces[0])
  const fields = compactNames[pieces.length]?.map(
    (name, i): Spot<string> => ({ name, get: () => pieces[i] ?? '', set: (value) => pieces.splice(i, 1, value) }),
  )
  if (header === undefined || fields === undefined) return undefined
  const headers = [{ name: 'protected', get: () => header, set: (value: Members) => pieces.splice(0, 1, encodeHeader(value)) }]
  return { headers, fields, tree: undefined, build: () => [pieces.join('.'), ...parts.slice(1)] }
}

const binaryNames = ['protected', 'unprotected', 'header', 'encrypted_key', 'aad', 'iv', 'ciphertext', 'tag'] as const

type Cut = { readonly prefix: Uint8Array; readonly held: (Uint8Array | undefined)[] }

function cut(octets: Uint8Array): Cut | undefined {
  const flags = octets[5]
  if (flags === undefined) return undefined
  const present = binaryNames.map((_, bit) => (flags & (1 << bit)) !== 0)
  const count = present.filter(Boolean).length
  const lengths = new DataView(octets.buffer, octets.byteOffset, octets.length)
  let at = 6 + 4 * count
  let nth = 0
  if (at > octets.length) return undefined
  const held = present.map((isPresent) => {
    if (!isPresent) return undefined
    const length = lengths.getUint32(6 + 4 * nth++)
    at += length
    return octets.slice(at - length, at)
  })
  return { prefix: octets.slice(0, 5), held }
}

function join({ prefix, held }: Cut): Uint8Array {
  const flags = held.reduce((sum, octets, bit) => (octets === undefined ? sum : sum | (1 << bit)), 0)
  const present = held.filter((octets) => octets !== undefined)
  return concat(prefix, Uint8Array.of(flags), ...present.map(({ length }) => u32(length)), ...present)
}

function dissectBinary({ parts }: Subject): Dissected | undefined {
  const cuts: Cut[] = []
  for (const part of parts) {
    const found = part instanceof Uint8Array ? cut(part) : undefined
    if (found === undefined) return undefined
    cuts.push(found)
  }
  const headers: Spot<Members>[] = []
  const fields: Spot<string>[] = []
  for (const { held } of cuts) {
    for (const [bit, name] of binaryNames.entries()) {
      const octets = held[bit]
      if (octets === undefined) continue
      if (bit > 2) {
        fields.push({
          name,
          get: () => backend.base64url(held[bit] ?? new Uint8Array(0)),
          set: (value) => held.splice(bit, 1, new Uint8Array(Buffer.from(value, 'base64url'))),
        })
        continue
      }
      const header = parse(fromUtf8(octets) ?? '')
      if (isMembers(header)) headers.push({ name, get: () => header, set: (value) => held.splice(bit, 1, utf8(render(value))) })
    }
  }
  return { headers, fields, tree: undefined, build: () => cuts.map(join) }
}
