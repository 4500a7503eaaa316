/**
 * Where the time of a process went: the self time of a V8 profile (`--cpu-prof`), added up by what the code is for. A
 * function's time counts where it stands; native calls count with the module that made them.
 * @module
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** Shares of the time in which the process did anything, by part. */
export type Breakdown = { readonly [part: string]: number }

type Node = {
  readonly id: number
  readonly callFrame: { readonly functionName: string; readonly url: string }
  readonly children?: readonly number[]
}
type Profile = { readonly nodes: readonly Node[]; readonly samples: readonly number[]; readonly timeDeltas: readonly number[] }

const parts: readonly (readonly [part: string, file: RegExp])[] = [
  ['crypto', /\/packages\/jose\/|node:internal\/crypto|\/@noble\//],
  ['store', /\/packages\/platform\/dist\/level|classic-level|abstract-level|\/level\/|\/agent\/dist\/(?:state|commit)\.js/],
  ['kernel', /\/packages\/kernel\/|\/xstate\/|\/zod\/|\/protocols\//],
  ['envelope', /\/packages\/(?:jwm|identity|session)\//],
  ['stream', /\/packages\/stream\/|\/ws\/|\/packages\/platform\/dist\/websocket|node:net|node:internal\/stream/],
  ['agent', /\/packages\/agent\//],
]

/** Reads the one profile of a folder. */
export function breakdown(folder: string): Breakdown {
  const file = readdirSync(folder).find((name) => name.endsWith('.cpuprofile'))
  if (file === undefined) return {}
  const { nodes, samples, timeDeltas } = JSON.parse(readFileSync(join(folder, file), 'utf8')) as Profile
  const partOf = new Map<number, string>()
  const byId = new Map(nodes.map((node) => [node.id, node]))
  const visit = (id: number, above: string): void => {
    const node = byId.get(id)
    if (node === undefined) return
    const part = classify(node, above)
    partOf.set(id, part)
    for (const child of node.children ?? []) visit(child, part)
  }
  visit(nodes[0]?.id ?? 0, 'other')
  const sums: Record<string, number> = {}
  let total = 0
  samples.forEach((id, i) => {
    const part = partOf.get(id) ?? 'other'
    if (part === 'idle') return
    const time = timeDeltas[i] ?? 0
    sums[part] = (sums[part] ?? 0) + time
    total += time
  })
  return Object.fromEntries(
    Object.entries(sums)
      .sort(([, a], [, b]) => b - a)
      .map(([part, time]) => [part, Math.round((1000 * time) / total) / 1000]),
  )
}

function classify({ callFrame: { functionName, url } }: Node, above: string): string {
  if (functionName === '(idle)') return 'idle'
  if (functionName === '(garbage collector)') return 'garbage'
  if (functionName === '(program)') return 'native'
  for (const [part, file] of parts) if (file.test(url)) return part
  // What the runtime does for somebody is theirs.
  return url === '' || url.startsWith('node:') ? above : 'other'
}
