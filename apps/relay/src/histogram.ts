/**
 * A histogram for prom-client that counts in arrays of its own. The library's makes some objects for each value, and the relay has
 * two values for each stanza; shown, both are the same.
 * @module
 */
import type { Histogram as Metric, Registry } from 'prom-client'

export type HistogramOptions = {
  readonly name: string
  readonly help: string
  /** Upper bounds, rising. */
  readonly buckets: readonly number[]
  readonly registry: Registry
}

/** Registers a histogram without labels; answers how a value is added. */
export function createHistogram({ name, help, buckets, registry }: HistogramOptions): (value: number) => void {
  // The last one counts what is above all bounds.
  const counts = new Float64Array(buckets.length + 1)
  let sum = 0

  // Asked for when somebody reads the page.
  async function get(): Promise<object> {
    let count = 0
    const values = [...buckets, '+Inf'].map((le, i) => {
      count += counts[i] as number
      return { metricName: `${name}_bucket`, labels: { le }, value: count }
    })
    const totals = [
      { metricName: `${name}_sum`, labels: {}, value: sum },
      { metricName: `${name}_count`, labels: {}, value: count },
    ]
    return { name, help, type: 'histogram', values: [...values, ...totals], aggregator: 'sum' }
  }

  // A name and `get` is all that a registry asks of a metric; its type asks for the rest of the library's own.
  registry.registerMetric({ name, get } as unknown as Metric)
  return (value) => {
    let i = 0
    while (i < buckets.length && value > (buckets[i] as number)) i++
    counts[i] = (counts[i] as number) + 1
    sum += value
  }
}
