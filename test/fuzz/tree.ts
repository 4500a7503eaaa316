/**
 * JSON as the fuzzer needs it: objects as rows of members, so that a name may stand twice, and raw text, so that what no
 * JSON value can say (1e999, half a surrogate pair, white space) can be written.
 * @module
 */
import { fromBase64url, fromUtf8, utf8 } from '@parley/core'
import { backend } from '@parley/jose'

export type Tree = null | boolean | number | string | Tree[] | Members | Raw
export type Members = { readonly members: Member[] }
export type Raw = { readonly raw: string }
/** The name is a JSON text, quotation marks and escapes included. */
export type Member = { name: string; value: Tree }

export function isMembers(tree: Tree | undefined): tree is Members {
  return typeof tree === 'object' && tree !== null && !Array.isArray(tree) && 'members' in tree
}

/** The tree of a JSON text of ours, or `undefined` when it is none. */
export function parse(text: string): Tree | undefined {
  try {
    return toTree(JSON.parse(text))
  } catch {
    return undefined
  }
}

export function toTree(value: unknown): Tree {
  if (Array.isArray(value)) return value.map(toTree)
  if (typeof value !== 'object' || value === null) return value as Tree
  return { members: Object.entries(value).map(([name, member]) => ({ name: JSON.stringify(name), value: toTree(member) })) }
}

export function render(tree: Tree, space = ''): string {
  if (Array.isArray(tree)) return `[${tree.map((item) => render(item, space)).join(`,${space}`)}]`
  if (typeof tree !== 'object' || tree === null) return JSON.stringify(tree)
  if ('raw' in tree) return tree.raw
  return `{${space}${tree.members.map(({ name, value }) => `${name}${space}:${space}${render(value, space)}`).join(`,${space}`)}}`
}

export function memberOf(tree: Tree | undefined, name: string): Member | undefined {
  return isMembers(tree) ? tree.members.find((member) => member.name === JSON.stringify(name)) : undefined
}

/** Sets, adds or (with `undefined`) removes a member. */
export function setMember(tree: Members, name: string, value: Tree | undefined): void {
  const at = tree.members.findIndex((member) => member.name === JSON.stringify(name))
  if (value === undefined) {
    if (at >= 0) tree.members.splice(at, 1)
  } else if (at >= 0) {
    const found = tree.members[at]
    if (found !== undefined) found.value = value
  } else {
    tree.members.push({ name: JSON.stringify(name), value })
  }
}

/** Every object in the tree, the outermost first. */
export function objectsIn(tree: Tree): Members[] {
  if (Array.isArray(tree)) return tree.flatMap(objectsIn)
  return isMembers(tree) ? [tree, ...tree.members.flatMap(({ value }) => objectsIn(value))] : []
}

/** The header that a `protected` member holds. */
export function decodeHeader(text: Tree | undefined): Members | undefined {
  const octets = typeof text === 'string' ? fromBase64url(text) : undefined
  const tree = octets === undefined ? undefined : parse(fromUtf8(octets) ?? '')
  return isMembers(tree) ? tree : undefined
}

export function encodeHeader(tree: Tree): string {
  return backend.base64url(utf8(render(tree)))
}
