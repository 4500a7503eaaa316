/**
 * Changes that know the form: headers, fields, entries and members, moved, exchanged, doubled and replaced.
 * @module
 */
import { concat, utf8 } from '@parley/core'
import type { SimRandom } from '@parley/core/sim'
import type { Subject } from './corpus.ts'
import { headerNames, nest, odd, valueFor } from './dictionary.ts'
import { type Dissected, dissect, entriesOf, type Spot } from './dissect.ts'
import type { Mutant, Mutation, Surroundings } from './mutation.ts'
import { isMembers, type Members, memberOf, objectsIn, render, setMember, type Tree } from './tree.ts'

type Change = (inside: Dissected, surroundings: Surroundings & { readonly subject: Subject }) => Omit<Mutant, 'parts'> | undefined

function inside(name: string, weight: number, change: Change, forms?: Mutation['forms']): Mutation {
  return {
    name,
    weight,
    stackable: true,
    ...(forms === undefined ? {} : { forms }),
    apply(subject, surroundings) {
      const opened = dissect(subject)
      const done = opened === undefined ? undefined : change(opened, { ...surroundings, subject })
      return opened === undefined || done === undefined ? undefined : { ...done, parts: opened.build() }
    },
  }
}

const json = ['json', 'urlsafe'] as const
const texts = ['compact', 'json', 'urlsafe'] as const

function pick<T>(random: SimRandom, from: readonly T[]): T | undefined {
  return from.length === 0 ? undefined : random.pick(from)
}

function nameIn(header: Members, random: SimRandom): string {
  const own = pick(random, header.members)
  return own === undefined || random.chance(0.4) ? random.pick(headerNames) : (JSON.parse(own.name) as string)
}

const headers: readonly Mutation[] = [
  inside('header member replaced', 14, ({ headers }, { random }) => {
    const spot = pick(random, headers)
    if (spot === undefined) return undefined
    const header = spot.get()
    const name = nameIn(header, random)
    setMember(header, name, random.chance(0.9) ? valueFor(name, random) : odd(random))
    spot.set(header)
    return {}
  }),
  inside('header member removed', 4, ({ headers }, { random }) => {
    const spot = pick(random, headers)
    const header = spot?.get()
    const member = header === undefined ? undefined : pick(random, header.members)
    if (spot === undefined || header === undefined || member === undefined) return undefined
    header.members.splice(header.members.indexOf(member), 1)
    spot.set(header)
    return {}
  }),
  inside('header member moved or copied to another place', 5, ({ headers, tree }, { random }) => {
    const from = pick(random, headers)
    const member = from === undefined ? undefined : pick(random, from.get().members)
    if (from === undefined || member === undefined) return undefined
    const fresh: Members = { members: [] }
    const others = headers.filter((spot) => spot !== from)
    const to = pick(random, others)
    const target = to?.get() ?? fresh
    target.members.push({ ...member })
    if (random.chance(0.7)) from.get().members.splice(from.get().members.indexOf(member), 1)
    from.set(from.get())
    to?.set(target)
    if (to === undefined && tree !== undefined) setMember(tree, random.pick(['header', 'unprotected']), fresh)
    return {}
  }),
  inside('header of another', 6, ({ headers }, { random, donor }) => {
    const spot = pick(random, headers)
    const theirs = dissect(donor)?.headers.filter(({ name }) => name === spot?.name) ?? []
    const taken = pick(random, theirs)
    if (spot === undefined || taken === undefined) return undefined
    if (random.chance(0.5)) {
      spot.set(taken.get())
    } else {
      const member = pick(random, taken.get().members)
      const header = spot.get()
      if (member === undefined) return undefined
      const own = header.members.find(({ name }) => name === member.name)
      if (own === undefined) header.members.push({ ...member })
      else own.value = member.value
      spot.set(header)
    }
    return { truths: [donor.truth] }
  }),
  inside('header member doubled', 3, ({ headers }, { random }) => {
    const spot = pick(random, headers)
    const member = spot === undefined ? undefined : pick(random, spot.get().members)
    if (spot === undefined || member === undefined) return undefined
    const name = random.chance(0.5) ? member.name : escaped(member.name)
    const value = random.chance(0.5) ? member.value : valueFor(JSON.parse(member.name) as string, random)
    const header = spot.get()
    header.members.splice(random.int(header.members.length + 1), 0, { name, value })
    spot.set(header)
    return { must: 'refuse' }
  }),
]

/** The same name, its first letter written as an escape. */
function escaped(name: string): string {
  const code = name.charCodeAt(1)
  return name === '""' || code === 0x5c ? name : `"\\u${code.toString(16).padStart(4, '0')}${name.slice(2)}`
}

// Fields that stand once in an object: a change of their text concerns every reader.
const single: readonly string[] = ['payload', 'signature', 'aad', 'iv', 'ciphertext', 'tag', 'protected']
const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'

function isText(spot: Spot<string>, subject: Subject): boolean {
  return !(spot.name === 'payload' && subject.label.includes('unencoded'))
}

const fields: readonly Mutation[] = [
  inside('base64url character changed', 8, ({ fields }, { random }) => {
    const spot = pick(random, fields)
    const text = spot?.get() ?? ''
    if (spot === undefined || text === '') return undefined
    const at = random.int(text.length)
    spot.set(`${text.slice(0, at)}${alphabet.charAt(random.int(64))}${text.slice(at + 1)}`)
    return {}
  }),
  inside(
    'base64url with unused bits set',
    4,
    ({ fields }, { random, subject }) => {
      const able = fields.filter((spot) => isText(spot, subject) && spot.get().length % 4 > 1 && single.includes(spot.name))
      const spot = pick(random, able)
      if (spot === undefined) return undefined
      const text = spot.get()
      const last = alphabet.indexOf(text.charAt(text.length - 1))
      spot.set(`${text.slice(0, -1)}${alphabet.charAt(last ^ (text.length % 4 === 2 ? 1 + random.int(15) : 1 + random.int(3)))}`)
      return { must: 'refuse' }
    },
    texts,
  ),
  inside(
    'base64url of another alphabet',
    3,
    ({ fields }, { random, subject }) => {
      const spot = pick(
        random,
        fields.filter((field) => isText(field, subject) && single.includes(field.name)),
      )
      if (spot === undefined) return undefined
      const text = spot.get()
      const at = random.int(text.length + 1)
      const classic = text.replace('-', '+').replace('_', '/')
      const spaced = `${text.slice(0, at)}${random.pick([' ', '\n', '\t', '=', '\u0000', 'é', '\u212a'])}${text.slice(at)}`
      spot.set(classic !== text && random.chance(0.4) ? classic : random.chance(0.4) ? `${text}=` : spaced)
      return { must: 'refuse' }
    },
    texts,
  ),
  inside('field of another', 7, ({ fields }, { random, donor }) => {
    const spot = pick(random, fields)
    const theirs = dissect(donor)?.fields ?? []
    const taken = pick(random, random.chance(0.9) ? theirs.filter(({ name }) => name === spot?.name) : theirs)
    if (spot === undefined || taken === undefined) return undefined
    spot.set(taken.get())
    return { truths: [donor.truth] }
  }),
  inside('field emptied, cut or grown', 5, ({ fields }, { random }) => {
    const spot = pick(random, fields)
    if (spot === undefined) return undefined
    const text = spot.get()
    const cut = 4 * random.int(1 + Math.floor(text.length / 4))
    spot.set(
      random.pick([
        '',
        text.slice(0, cut),
        text.slice(cut),
        text + text,
        `${text.slice(0, cut)}AAAA${text.slice(cut)}`,
        'AAAAAA',
      ]),
    )
    return {}
  }),
]

const members: readonly Mutation[] = [
  inside(
    'member doubled',
    4,
    ({ tree }, { random }) => {
      const owner =
        tree === undefined
          ? undefined
          : pick(
              random,
              objectsIn(tree).filter(({ members }) => members.length > 0),
            )
      const member = owner === undefined ? undefined : pick(random, owner.members)
      if (owner === undefined || member === undefined) return undefined
      const name = random.chance(0.5) ? member.name : escaped(member.name)
      const value = random.pick<Tree>([member.value, null, 'AAAA', odd(random)])
      owner.members.splice(random.int(owner.members.length + 1), 0, { name, value })
      return { must: 'refuse' }
    },
    json,
  ),
  inside(
    'member of another type',
    6,
    ({ tree }, { random }) => {
      const owner =
        tree === undefined
          ? undefined
          : pick(
              random,
              objectsIn(tree).filter(({ members }) => members.length > 0),
            )
      const member = owner === undefined ? undefined : pick(random, owner.members)
      if (member === undefined) return undefined
      const value = member.value
      member.value = random.pick<Tree>([
        null,
        [],
        { members: [] },
        true,
        0,
        '',
        [value],
        String(render(value)),
        odd(random),
        nest(5, random),
      ])
      return {}
    },
    json,
  ),
  inside(
    'member removed or of another name',
    4,
    ({ tree }, { random }) => {
      const owner =
        tree === undefined
          ? undefined
          : pick(
              random,
              objectsIn(tree).filter(({ members }) => members.length > 0),
            )
      const member = owner === undefined ? undefined : pick(random, owner.members)
      if (owner === undefined || member === undefined) return undefined
      if (random.chance(0.5)) owner.members.splice(owner.members.indexOf(member), 1)
      else
        member.name = JSON.stringify(
          random.pick(['payload', 'signatures', 'signature', 'recipients', 'ciphertext', 'header', 'protected', '__proto__']),
        )
      return {}
    },
    json,
  ),
  inside(
    'member of another object',
    5,
    ({ tree }, { random, donor }) => {
      const theirs = dissect(donor)?.tree
      const taken = theirs === undefined ? undefined : pick(random, theirs.members)
      if (tree === undefined || taken === undefined) return undefined
      setMember(tree, JSON.parse(taken.name) as string, taken.value)
      return { truths: [donor.truth] }
    },
    json,
  ),
]

const entries: readonly Mutation[] = [
  inside(
    'entries in another order',
    2,
    ({ tree }) => {
      const list = tree === undefined ? [] : entriesOf(tree)
      if (list.length < 2) return undefined
      list.reverse()
      return { must: 'open' }
    },
    json,
  ),
  inside(
    'entry removed, doubled, emptied or replaced',
    6,
    ({ tree }, { random, donor }) => {
      const list = tree === undefined ? [] : entriesOf(tree)
      if (list.length === 0) return undefined
      const at = random.int(list.length)
      const entry = list[at] as Tree
      const theirs = dissect(donor)?.tree
      const foreign = theirs === undefined ? undefined : pick(random, entriesOf(theirs))
      const changes: (() => void)[] = [
        () => list.splice(at, 1),
        () => list.splice(at, 0, entry),
        () => list.splice(at, 1, random.pick<Tree>([null, { members: [] }, [], 'x', 1, [entry]])),
        () => list.splice(random.chance(0.5) ? at : list.length, random.int(2), foreign ?? { members: [] }),
      ]
      random.pick(changes)()
      return { truths: [donor.truth] }
    },
    json,
  ),
  inside(
    'no entries',
    1,
    ({ tree }) => {
      const list = tree === undefined ? [] : entriesOf(tree)
      if (list.length === 0) return undefined
      list.length = 0
      return { must: 'refuse' }
    },
    json,
  ),
  inside(
    'entries of the others broken',
    6,
    ({ tree }, { random }) => {
      const found = memberOf(tree, 'recipients')?.value
      const list = Array.isArray(found) ? found : []
      const mine = random.int(Math.max(1, list.length))
      const kid = memberOf(memberOf(list[mine], 'header')?.value, 'kid')?.value
      if (list.length < 2 || typeof kid !== 'string') return undefined
      for (const [i, entry] of list.entries()) {
        if (i !== mine) list[i] = brokenEntry(entry, random)
      }
      return { must: 'open', held: { kid } }
    },
    json,
  ),
  inside(
    'entry with an enc of its own',
    1,
    ({ tree }, { random }) => {
      const list = tree === undefined ? [] : entriesOf(tree)
      const entry = pick(random, list.filter(isMembers))
      if (memberOf(tree, 'recipients') === undefined || entry === undefined) return undefined
      const header = memberOf(entry, 'header')?.value
      const own: Members = isMembers(header) ? header : { members: [] }
      setMember(own, 'enc', random.pick(['A128GCM', 'A256GCM', 'x']))
      setMember(entry, 'header', own)
      return { must: 'refuse' }
    },
    json,
  ),
]

function brokenEntry(entry: Tree, random: SimRandom): Tree {
  if (!isMembers(entry)) return null
  const header = memberOf(entry, 'header')?.value
  const changes: (() => Tree)[] = [
    () => random.pick<Tree>([null, 1, 'x', [], { members: [] }]),
    () => ({
      members: [...entry.members.filter(({ name }) => name !== '"encrypted_key"'), { name: '"encrypted_key"', value: '!!' }],
    }),
    () => ({ members: entry.members.filter(({ name }) => name !== '"encrypted_key"') }),
    () => {
      const name = random.pick(['alg', 'epk', 'kid', 'crit', 'p2c', 'note'])
      if (isMembers(header)) setMember(header, name, name === 'kid' ? 'nobody' : valueFor(name, random))
      return entry
    },
    () => {
      setMember(entry, 'header', 'x')
      return entry
    },
  ]
  return random.pick(changes)()
}

/** The same JSON value in another text: white space, escapes, order, members of no meaning. */
const restyled: Mutation = {
  name: 'another text of the same',
  weight: 3,
  forms: json,
  stackable: true,
  apply(subject, { random }) {
    const opened = dissect(subject)
    if (opened?.tree === undefined) return undefined
    const { members } = opened.tree
    members.reverse()
    if (random.chance(0.5)) setMember(opened.tree, 'x-note', [1, 'x', { members: [] }])
    for (const member of members) if (random.chance(0.3)) member.name = escaped(member.name)
    const space = random.pick(['', ' ', '\n', ' \t\r\n'])
    const around = (tree: Tree): string | Uint8Array => {
      const text = `${space}${render(tree, space)}${space}`
      return random.chance(0.5) ? text : concat(utf8(text))
    }
    return { parts: opened.build(around), must: 'open' }
  },
}

export const structureMutations: readonly Mutation[] = [...headers, ...fields, ...members, ...entries, restyled]
