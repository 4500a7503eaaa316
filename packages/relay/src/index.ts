/**
 * The Parley relay: sessions, routing, directory, federation and limits, on the ports of `@parley/core`.
 * @module
 */
export type { Account, AccountDevice, Accounts } from './accounts.ts'
export type { RegistrationMode } from './admission.ts'
export type { Blocklist } from './blocklist.ts'
export { checkStore, type StoreCheck } from './check.ts'
export { RelayError, type RelayErrorCode } from './errors.ts'
export type { FederationPolicy } from './federation.ts'
export type { Invite, Invites, NewInvite } from './invites.ts'
export { limitsOfTheStart, type RelayLimits, relayLimits } from './limits.ts'
export type { OnWire, WirePeer } from './link.ts'
export { networkOf } from './network-address.ts'
export type { PeerStatus } from './peer.ts'
export type { Queue, Queues } from './queues.ts'
export { createRelay, type Relay, type RelayOptions, type RelayStats } from './relay.ts'
export { parseRoute, type Route } from './routes.ts'
