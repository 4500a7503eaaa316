/**
 * The parts of one relay that its sessions share.
 * @module
 */
import type { Address, Clock, DeviceId, Domain, Random, Telemetry } from '@parley/core'
import type { Key } from '@parley/jose'
import type { Mailbox } from '@parley/mailbox'
import type { Succession } from '@parley/stream'
import type { Blocklist } from './blocklist.ts'
import type { Directory } from './directory.ts'
import type { Gate } from './gate.ts'
import type { RelayLimits } from './limits.ts'
import type { OnWire } from './link.ts'

export type RelayContext = {
  readonly domain: Domain
  /** The relay's key in force; it may change while the relay runs. */
  readonly signer: Key
  /** How earlier keys led to it. */
  readonly keyChain: readonly Succession[]
  readonly clock: Clock
  readonly random: Random
  readonly telemetry: Telemetry
  readonly limits: RelayLimits
  readonly mailbox: Mailbox
  readonly directory: Directory
  readonly blocklist: Blocklist
  readonly gate: Gate
  readonly onWire: OnWire | undefined
}

/** Names a device among all of a domain. */
export function deviceName(address: Address, device: DeviceId): string {
  return `${address}/${device}`
}
