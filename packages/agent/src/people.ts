/**
 * The people one knows: contacts, links, safety numbers, and what the person decides when somebody's keys are held.
 * @module
 */
import { type Address, parseAddress } from '@parley/core'
import { decideHeld, formatContactLink, parseContactLink, safetyNumber } from '@parley/identity'
import type { Commit } from './commit.ts'
import { cardHash, type Directory } from './directory.ts'
import { AgentError } from './errors.ts'
import { abortable } from './retry.ts'
import type { Self } from './self.ts'
import type { State, Tx } from './state.ts'

/** An account as the person sees it. */
export type Contact = {
  readonly address: Address
  readonly link: string
  readonly verified: boolean
  /** Something about their keys waits for the person's decision. */
  readonly held?: string
}

/** The calls of an agent that are about other people. */
export interface People {
  /** What is known of an account. */
  contact(address: Address): Contact
  /** Whom the person wrote to or added. */
  contacts(): readonly Contact[]
  /** Adds somebody by address or by link; with a link nobody has to trust the relay's word on who it is. */
  addContact(link: string): Promise<Contact>
  /** The safety number with an account; fetches its card when it is not known. */
  safetyNumber(
    address: string,
    options?: { readonly signal?: AbortSignal },
  ): Promise<{ readonly number: string; readonly verified: boolean }>
  /** The person compared the safety number. */
  markVerified(address: string): Promise<void>
  /**
   * Ends a held state. Keys that contradict the pinned ones: `keep` goes on with the pinned, `trust` takes those offered. What a device
   * sent that was removed as compromised (`signer-removed`): `take` hands it over, `drop` ends it.
   */
  decide(address: string, decision: 'keep' | 'trust' | 'take' | 'drop'): Promise<void>
}

export type PeopleParts = {
  readonly self: Self
  readonly state: State
  readonly commit: Commit
  readonly directory: Directory
  /** In the step that took other keys for an account. */
  taken(tx: Tx, address: Address): void
  /** In the step that decides on what compromised devices of an account sent. */
  decided(tx: Tx, address: Address, decision: 'take' | 'drop'): void
}

/** An address as people write it: `local@domain` or `im:local@domain`. */
export function readAddress(text: string): Address {
  return parseAddress(text.startsWith('im:') ? text.slice(3) : text)
}

export function createPeople({ self, state, commit, directory, taken, decided }: PeopleParts): People {
  const contact = (address: Address): Contact => {
    const pin = state.get('pin', address)
    const account = pin?.account ?? state.get('conversation', address)?.account
    return {
      address,
      link: formatContactLink({ address, ...(account === undefined ? {} : { account }) }),
      verified: pin?.verifiedAt !== undefined,
      ...(pin?.held === undefined ? {} : { held: pin.held.code }),
    }
  }

  return {
    contact,
    contacts: () =>
      [...state.rows('conversation')].flatMap(([address, row]) => (row.contact === true ? [contact(address as Address)] : [])),
    async addContact(text) {
      const { address, account } = parseContactLink(text)
      await commit((tx) => {
        const pin = tx.get('pin', address)
        if (pin !== undefined && account !== undefined && pin.account !== account) {
          throw new AgentError('ERR_AGENT_TRUST_HELD', 'the link names another account key than the one that is pinned')
        }
        const row = tx.get('conversation', address) ?? { seq: 0 }
        tx.put('conversation', address, { ...row, contact: true, ...(account === undefined ? {} : { account }) })
      })
      directory.want(address)
      return contact(address)
    },
    async safetyNumber(text, { signal } = {}) {
      const address = readAddress(text)
      if (state.get('pin', address) === undefined) await abortable(directory.fetch(address), signal)
      const pin = state.get('pin', address)
      const account = self.account()
      if (pin === undefined || account === undefined) throw new AgentError('ERR_AGENT_PROFILE_DAMAGED', 'a card is missing')
      const number = safetyNumber({ address: self.address, account }, { address, account: pin.account })
      return { number, verified: pin.verifiedAt !== undefined }
    },
    async markVerified(text) {
      const address = readAddress(text)
      await commit((tx) => {
        const pin = tx.get('pin', address)
        if (pin !== undefined) tx.put('pin', address, { ...pin, verifiedAt: tx.now })
      })
    },
    async decide(text, decision) {
      const address = readAddress(text)
      if (decision === 'take' || decision === 'drop') {
        await commit((tx) => decided(tx, address, decision))
        return
      }
      await commit((tx) => {
        const pin = tx.get('pin', address)
        if (pin?.held === undefined) return
        tx.put('pin', address, decideHeld(pin, decision))
        // What was turned down is not held up to the person again at the next fetch.
        const row = tx.get('conversation', address) ?? { seq: 0 }
        if (decision === 'keep') tx.put('conversation', address, { ...row, declined: cardHash(pin.held.proof[1]) })
        taken(tx, address)
      })
      directory.want(address)
    },
  }
}
