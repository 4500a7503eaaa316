/**
 * One life of a simulated process: its clock and transport stop when it is killed, so that nothing of it acts afterwards.
 * @module
 */
import type { Clock, Transport } from '@parley/core'

export interface Life {
  readonly isOn: boolean
  readonly clock: Clock
  readonly transport: Transport
  end(): void
}

export function createLife(ports: { readonly clock: Clock; readonly transport: Transport }): Life {
  const { clock, transport } = ports
  let isOn = true

  // A dead process never hears the answer.
  const whileOn = async <T>(work: Promise<T>): Promise<T> => {
    try {
      const result = await work
      if (isOn) return result
    } catch (error) {
      if (isOn) throw error
    }
    return new Promise<never>(() => {})
  }

  return {
    get isOn() {
      return isOn
    },
    clock: {
      now: () => clock.now(),
      monotonic: () => clock.monotonic(),
      at: (ms, fn) => clock.at(ms, () => (isOn ? fn() : undefined)),
    },
    transport: {
      dial: (url, options) => whileOn(isOn ? transport.dial(url, options) : new Promise<never>(() => {})),
      listen: (options) => whileOn(isOn ? transport.listen(options) : new Promise<never>(() => {})),
      request: (url, options) => whileOn(isOn ? transport.request(url, options) : new Promise<never>(() => {})),
    },
    end() {
      isOn = false
    },
  }
}
