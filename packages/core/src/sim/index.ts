/**
 * The simulated ports (one schedule, one seed) and the compliance suites that simulated and real ports must pass.
 * @module
 */
export { type StoreCase, storeCases, type TransportCase, transportCases } from './compliance.ts'
export { createSimNetwork, type FaultKind, type LinkFaults, type LinkFrame, perfectLink, type SimNetwork } from './network.ts'
export { createSimRandom, type SimRandom } from './random.ts'
export { createSchedule, type Schedule, type SimClock } from './schedule.ts'
export { type BatchPoint, createMemoryStore, createSimDisk, type SimDisk } from './store.ts'
