/**
 * Making a profile in an empty store, before there is an agent.
 * @module
 */
import type { Address, Clock, Random, Store } from '@parley/core'
import { createAccount, createLinkedDevice } from './profile.ts'
import { openState, type Tx } from './state.ts'

/** What a new profile is made of. */
export type SetUp = {
  readonly store: Store
  readonly storeKeys: readonly Uint8Array[]
  readonly clock: Clock
  readonly random: Random
  readonly address: Address
  readonly relayUrl: string
  readonly invite?: string
}

/** Whether the store holds a profile. */
export async function hasProfile(store: Store): Promise<boolean> {
  return (await store.get('self/profile')) !== undefined
}

/** Makes an account, with this device as its first. The recovery key is shown to the person and stored nowhere. */
export function makeAccount(options: SetUp): Promise<{ readonly recoveryKey: string }> {
  return write(options, (tx) => createAccount(tx, options))
}

/** Makes a further device of an account; its line is for an admin device to approve. */
export function makeLinkedDevice(options: SetUp & { readonly account?: string }): Promise<{ readonly line: string }> {
  return write(options, (tx) => createLinkedDevice(tx, options))
}

async function write<T>({ store, storeKeys, clock, random }: SetUp, step: (tx: Tx) => T): Promise<T> {
  const state = await openState({ store, random, storeKeys })
  const { result, changes } = state.run(clock.now(), step)
  await store.batch(state.write([changes]), { durable: true })
  return result
}
