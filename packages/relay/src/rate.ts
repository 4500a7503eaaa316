/**
 * Rates (design §8, guarantee 6) by the generic cell rate algorithm (ITU-T I.371): one number per subject says when everything
 * it has taken so far will be paid for. A subject may be ahead of its rate by its burst.
 * @module
 */

import type { Telemetry } from '@parley/core'

/** So many units a second, and so many at once. */
export type Rate = { readonly perSecond: number; readonly burst: number }

/** A rate, and the monotonic millisecond. */
type At = { readonly rate: Rate; readonly now: number }

/** What one subject has taken: the monotonic millisecond at which it is even. */
type Meter = { even: number }

function createMeter(): Meter {
  return { even: 0 }
}

/** Takes the units whatever it costs; answers for how many milliseconds the subject should now be held back. */
function charge(meter: Meter, units: number, { rate, now }: At): number {
  const msPerUnit = 1000 / rate.perSecond
  meter.even = Math.max(meter.even, now) + units * msPerUnit
  return Math.max(0, meter.even - now - rate.burst * msPerUnit)
}

/** 0, or in how many milliseconds the rate will allow so many units. */
function waitFor(meter: Meter, units: number, { rate, now }: At): number {
  const msPerUnit = 1000 / rate.perSecond
  const wait = Math.max(meter.even, now) + units * msPerUnit - now - rate.burst * msPerUnit
  return wait > 0 ? Math.ceil(wait) : 0
}

/** What one connection has taken. */
export type LinkMeter = { readonly frames: Meter; readonly octets: Meter }

export function createLinkMeter(): LinkMeter {
  return { frames: createMeter(), octets: createMeter() }
}

type LinkLimitNames = { readonly frames: string; readonly bytes: string }

/** Under which names it is counted that the connections of devices and of relays were held back. */
export const linkLimits: Readonly<Record<'device' | 'relay', LinkLimitNames>> = {
  device: { frames: 'relay.limit.framesPerSecond', bytes: 'relay.limit.bytesPerSecond' },
  relay: { frames: 'relay.limit.peerFramesPerSecond', bytes: 'relay.limit.peerBytesPerSecond' },
}

/** Counts the frames and octets of connections; answers for how many milliseconds one is now to be read no further. */
export function createLinkCharge(
  limits: () => {
    readonly framesPerSecond: number
    readonly framesBurst: number
    readonly bytesPerSecond: number
    readonly bytesBurst: number
  },
  { telemetry, names }: { readonly telemetry: Telemetry; readonly names: LinkLimitNames },
): (meter: LinkMeter, bytes: number, now: number) => number {
  // Filled in anew for each frame: limits may change.
  const at = { rate: { perSecond: 0, burst: 0 }, now: 0 }
  return (meter, bytes, now) => {
    const { framesPerSecond, framesBurst, bytesPerSecond, bytesBurst } = limits()
    at.now = now
    at.rate.perSecond = framesPerSecond
    at.rate.burst = framesBurst
    const forFrames = charge(meter.frames, 1, at)
    at.rate.perSecond = bytesPerSecond
    at.rate.burst = bytesBurst
    const forBytes = charge(meter.octets, bytes, at)
    if (forFrames > 0) telemetry.count(names.frames)
    if (forBytes > 0) telemetry.count(names.bytes)
    return Math.max(forFrames, forBytes)
  }
}

/** Meters by name. Names that are even again are forgotten, so that there are never many more than there are busy ones. */
export interface Meters {
  /** 0, or in how many milliseconds the rate will allow so many units. */
  wait(name: string, units: number, at: At): number
  /** Takes the units if the rate allows it, and answers 0; otherwise takes nothing and answers as `wait` does. */
  take(name: string, units: number, at: At): number
}

export function createMeters(): Meters {
  const meters = new Map<string, Meter>()
  let pruneAt = 1_024

  function wait(name: string, units: number, at: At): number {
    return waitFor(meters.get(name) ?? createMeter(), units, at)
  }

  function prune(now: number): void {
    if (meters.size < pruneAt) return
    for (const [each, { even }] of meters) if (even <= now) meters.delete(each)
    pruneAt = Math.max(1_024, 2 * meters.size)
  }

  return {
    wait,
    take(name, units, at) {
      const ms = wait(name, units, at)
      if (ms > 0) return ms
      prune(at.now)
      const meter = meters.get(name) ?? createMeter()
      meters.set(name, meter)
      charge(meter, units, at)
      return 0
    },
  }
}
