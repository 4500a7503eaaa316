/**
 * What is due when: a heap of names by time, so that neither the next time nor what is due at it costs a look through all.
 * A name has one time; an earlier or later one replaces it.
 * @module
 */

export interface Agenda {
  set(name: string, at: number): void
  /** The soonest time. */
  next(): number | undefined
  /** Takes out what is due, soonest first. */
  take(now: number): readonly string[]
  clear(): void
}

type Item = { readonly at: number; readonly name: string }

export function createAgenda(): Agenda {
  let times = new Map<string, number>()
  // Items whose name has another time by now are passed over.
  let heap: Item[] = []

  const isCurrent = ({ name, at }: Item): boolean => times.get(name) === at

  const push = (item: Item): void => {
    let i = heap.length
    while (i > 0) {
      const parent = (i - 1) >> 1
      const above = heap[parent]
      if (above === undefined || above.at <= item.at) break
      heap[i] = above
      i = parent
    }
    heap[i] = item
  }

  const pop = (): void => {
    const last = heap.pop()
    if (last === undefined || heap.length === 0) return
    let i = 0
    for (;;) {
      const left = 2 * i + 1
      const [a, b] = [heap[left], heap[left + 1]]
      const child = b !== undefined && a !== undefined && b.at < a.at ? left + 1 : left
      const below = heap[child]
      if (below === undefined || below.at >= last.at) break
      heap[i] = below
      i = child
    }
    heap[i] = last
  }

  const tidy = (): void => {
    for (let first = heap[0]; first !== undefined && !isCurrent(first); first = heap[0]) pop()
  }

  return {
    set(name, at) {
      if (times.get(name) === at) return
      times.set(name, at)
      push({ at, name })
      // Times that move on leave their old items behind.
      if (heap.length > 2 * times.size + 64) {
        const items = heap.filter(isCurrent)
        heap = []
        for (const item of items) push(item)
      }
    },
    next() {
      tidy()
      return heap[0]?.at
    },
    take(now) {
      const names: string[] = []
      for (;;) {
        tidy()
        const first = heap[0]
        if (first === undefined || first.at > now) return names
        pop()
        times.delete(first.name)
        names.push(first.name)
      }
    },
    clear() {
      times = new Map()
      heap = []
    },
  }
}
