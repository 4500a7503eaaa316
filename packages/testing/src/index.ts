/**
 * The simulator: a whole Parley network in one process, from one seed.
 * @module
 */
export { createLife, type Life } from './life.ts'
export { createTestNetwork, type TestDevice, type TestNetwork, type TestNetworkOptions, type TestProcess } from './network.ts'
export { createWorld, type Handed, type SimDevice, type SimRelay, type World, type WorldOptions } from './world.ts'
