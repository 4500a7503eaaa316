/**
 * One run of the fuzzer: draws a subject and a change per input, hands it to a door, and counts what came of it. Every
 * input has a generator of its own, so that one can be made again from the seed and its number.
 * @module
 */
import { createSimRandom, type SimRandom } from '@parley/core/sim'
import type { Key } from '@parley/jose'
import { attackMutations } from './attack-mutations.ts'
import type { Form, Subject } from './corpus.ts'
import type { Door, Opener } from './doors.ts'
import type { Ring } from './keys.ts'
import type { Mutant, Mutation } from './mutation.ts'
import { octetMutations } from './octet-mutations.ts'
import { structureMutations } from './structure-mutations.ts'
import { type Outcome, type Truth, thrown, verdict } from './verdict.ts'

export type FuzzOptions = {
  readonly seed: number | string
  readonly inputs: number
  readonly corpus: readonly Subject[]
  readonly ring: Ring
  readonly open: Opener
  /** Of the first input: one can be run again alone. */
  readonly from?: number
}

export type Surprise = {
  readonly input: number
  readonly label: string
  readonly change: string
  readonly problem: string
  /** The parts that were handed in, in base64. */
  readonly parts: readonly string[]
}

export type Tally = {
  readonly inputs: number
  readonly changes: Readonly<Record<string, number>>
  readonly outcomes: Readonly<Record<string, number>>
  readonly surprises: readonly Surprise[]
  /** The label begins with the number of the input. */
  readonly slowest: { readonly ms: number; readonly label: string }
  readonly ms: number
}

/** No input may cost more. */
export const slowestMs = 1000

const mutations: readonly Mutation[] = [...octetMutations, ...structureMutations, ...attackMutations]
const stackable = mutations.filter((mutation) => mutation.stackable)
const surprisesMax = 50

// Test runners call a process that answers nothing for a minute dead.
const turnEvery = 500

/** Runs `inputs` inputs, however many surprises they hold. */
export async function fuzz({ seed, inputs, corpus, ring, open, from = 0 }: FuzzOptions): Promise<Tally> {
  const changes: Record<string, number> = {}
  const outcomes: Record<string, number> = {}
  const surprises: Surprise[] = []
  const pools = poolsOf(corpus)
  let slowest = { ms: 0, label: '' }
  const started = performance.now()
  for (let input = from; input < from + inputs; input++) {
    if (input % turnEvery === 0) await new Promise((resolve) => setImmediate(resolve))
    const random = createSimRandom(`${seed}/${input}`)
    const { subject, change, mutant } = draw(random, { pools, corpus, ring })
    const door = doorOf(subject, random)
    const attempt = (): { readonly outcome: Outcome; readonly ms: number } => {
      const begun = performance.now()
      const outcome = enter(door, { subject, mutant, ring, open, require: input % 3 === 0 ? 'any' : 'all' })
      return { outcome, ms: performance.now() - begun }
    }
    const { outcome, ms } = attempt()
    // A machine that does something else in between is not the input's fault: the best of three counts.
    const least = ms <= slowest.ms ? ms : Math.min(ms, attempt().ms, attempt().ms)
    if (least > slowest.ms) slowest = { ms: least, label: `${input}: ${subject.label}, ${change}` }
    const result = outcome.ok ? 'opened to the same' : outcome.code
    changes[change] = (changes[change] ?? 0) + 1
    outcomes[result] = (outcomes[result] ?? 0) + 1
    const problem = verdict(outcome, [subject.truth, ...(mutant.truths ?? []).flatMap(layersOf)], mutant.must)
    if (problem !== undefined && surprises.length < surprisesMax) {
      const parts = mutant.parts.map((part) => Buffer.from(part).toString('base64'))
      surprises.push({ input, label: `${subject.label} (${door})`, change, problem, parts })
    }
  }
  return { inputs, changes, outcomes, surprises, slowest, ms: performance.now() - started }
}

/** A message and what it is wrapped around: a payload that travels apart is an object too, and may be mixed in alone. */
function layersOf(truth: Truth): Truth[] {
  return truth.map((_, outer) => truth.slice(outer))
}

/** Opens every subject as it is: what is no surprise there is what the changes are measured by. */
export function unchanged({ corpus, ring, open }: Pick<FuzzOptions, 'corpus' | 'ring' | 'open'>): string[] {
  return corpus.flatMap((subject) =>
    doorsOf(subject).flatMap((door) => {
      const outcome = enter(door, { subject, mutant: { parts: subject.parts }, ring, open, require: 'all' })
      const problem = verdict(outcome, [subject.truth], 'open')
      return problem === undefined ? [] : [`${subject.label} (${door}): ${problem}`]
    }),
  )
}

// Rows are many and alike; what is put together of them is rare. Dear algorithms take most of the time.
const shares = [
  { percent: 50, of: ({ row, cost }: Subject) => row !== undefined && cost === 'cheap' },
  { percent: 8, of: ({ row, cost }: Subject) => row !== undefined && cost === 'fair' },
  { percent: 4, of: ({ row, cost }: Subject) => row !== undefined && cost === 'dear' },
  { percent: 24, of: ({ row, cost }: Subject) => row === undefined && cost === 'cheap' },
  { percent: 14, of: ({ row, cost }: Subject) => row === undefined && cost !== 'cheap' },
] as const

type Pool = {
  readonly percent: number
  readonly subjects: readonly Subject[]
  readonly byForm: ReadonlyMap<Form, readonly Subject[]>
}
type Drawn = { readonly subject: Subject; readonly change: string; readonly mutant: Mutant }

function poolsOf(corpus: readonly Subject[]): readonly Pool[] {
  return shares
    .map(({ percent, of }) => {
      const subjects = corpus.filter(of)
      const forms = [...new Set(subjects.map(({ form }) => form))]
      return {
        percent,
        subjects,
        byForm: new Map(forms.map((form) => [form, subjects.filter((subject) => subject.form === form)])),
      }
    })
    .filter(({ subjects }) => subjects.length > 0)
}

type DrawOptions = { readonly pools: readonly Pool[]; readonly corpus: readonly Subject[]; readonly ring: Ring }

function draw(random: SimRandom, { pools, corpus, ring }: DrawOptions): Drawn {
  for (;;) {
    const pool = weighted(pools, ({ percent }) => percent, random)
    const subject = random.pick(pool.subjects)
    const donor = (): Subject => random.pick(random.chance(0.7) ? (pool.byForm.get(subject.form) ?? corpus) : corpus)
    if (random.int(20) > 0) {
      const mutation = choose(mutations, subject, random)
      const mutant = mutation.apply(subject, { random, donor: donor(), ring })
      if (mutant !== undefined) return { subject, change: mutation.name, mutant }
      continue
    }
    const mutant = stack(subject, { random, donor, ring })
    if (mutant !== undefined) return { subject, change: 'several changes', mutant }
  }
}

function choose(from: readonly Mutation[], { form }: Subject, random: SimRandom): Mutation {
  const able = from.filter(({ forms }) => forms === undefined || forms.includes(form))
  return weighted(able, ({ weight }) => weight, random)
}

function weighted<T>(from: readonly T[], weightOf: (item: T) => number, random: SimRandom): T {
  const sum = from.reduce((total, item) => total + weightOf(item), 0)
  let at = (random.int(1_000_000) / 1_000_000) * sum
  const found = from.find((item) => {
    at -= weightOf(item)
    return at < 0
  })
  return found ?? random.pick(from)
}

type StackOptions = { readonly random: SimRandom; readonly donor: () => Subject; readonly ring: Ring }

// What must come of one change need not come of several.
function stack(subject: Subject, { random, donor, ring }: StackOptions): Mutant | undefined {
  let parts = subject.parts
  let changed = false
  const truths = []
  for (let left = 2 + random.int(3); left > 0; left--) {
    const mutant = choose(stackable, subject, random).apply({ ...subject, parts }, { random, donor: donor(), ring })
    if (mutant === undefined) continue
    parts = mutant.parts
    truths.push(...(mutant.truths ?? []))
    changed = true
  }
  return changed ? { parts, truths } : undefined
}

function doorsOf({ form, label }: Subject): readonly Door[] {
  if (form === 'cut' || form === 'profile') return [form]
  // Messages are never compressed (the opening of messages does not take it).
  return label.startsWith('compressed') ? ['jose'] : ['jose', 'jwm']
}

function doorOf(subject: Subject, random: SimRandom): Door {
  return random.pick(doorsOf(subject))
}

type EnterOptions = {
  readonly subject: Subject
  readonly mutant: Mutant
  readonly ring: Ring
  readonly open: Opener
  readonly require: 'all' | 'any'
}

function enter(door: Door, { subject, mutant, ring, open, require }: EnterOptions): Outcome {
  const reader = { ...held(mutant, ring), require }
  try {
    return open(door, { parts: mutant.parts, detached: subject.detached }, reader)
  } catch (error) {
    return thrown(error)
  }
}

function held({ held }: Mutant, ring: Ring): { readonly open: readonly Key[]; readonly verify: readonly Key[] } {
  if (held === undefined) return ring
  if (held === 'impostors') return ring.impostors
  if (held === 'both') return { open: [...ring.impostors.open, ...ring.open], verify: [...ring.impostors.verify, ...ring.verify] }
  return { open: ring.open.filter(({ kid }) => kid === held.kid), verify: ring.verify }
}
