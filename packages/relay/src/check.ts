/**
 * Looks through the whole store of a relay in one snapshot, so that it can be done while the relay runs: the mailbox's records, its
 * own, and every account's chain of cards with the statements of its devices. Says what is wrong and what would mend it.
 * @module
 */
import { fromUtf8, type JsonObject, parseJsonObject, type Store, sortable, utf8 } from '@parley/core'
import { type ReadCard, readCard, readStatement, successorProblem } from '@parley/identity'
import { readKey } from '@parley/jose'
import { createMailboxCheck, type Finding } from '@parley/mailbox'
import { readSuccessions } from '@parley/stream'
import { RelayError } from './errors.ts'
import { schemaVersion } from './relay-key.ts'

/** What a look through a store has shown. */
export type StoreCheck = {
  readonly rows: number
  readonly accounts: number
  readonly stanzas: number
  /** The first thousand. */
  readonly findings: readonly Finding[]
  readonly more: number
}

const findingsMax = 1000
const accountForm = /^account\/(\S+) (card|statement)\/(\S+)$/
const countKey = 'relay/accounts'

/** Reads every row once. `now` decides nothing but whether a statement's times can be. */
export async function checkStore(store: Store, options: { readonly now: number }): Promise<StoreCheck> {
  const mailbox = createMailboxCheck()
  const findings: Finding[] = []
  let rows = 0
  let accounts = 0
  let head: { readonly address: string; readonly card: ReadCard } | undefined
  let hasKey = false
  let hasMeta = false
  let counted: number | undefined

  function onCard(key: string, address: string, version: string, value: Uint8Array): void {
    const before = head?.address === address ? head.card : undefined
    if (before === undefined) accounts++
    const read = readCard(fromUtf8(value) ?? '')
    if (!read.ok) {
      findings.push({ row: key, problem: `is no card (${read.code})` })
      return
    }
    const { card } = read
    if (card.address !== address || sortable(card.version) !== version)
      findings.push({ row: key, problem: `holds version ${card.version} of another place` })
    const problem = before === undefined ? (card.version === 1 ? undefined : 'card-chain-broken') : successorProblem(before, read)
    // The announced next key may take over.
    if (problem !== undefined) findings.push({ row: key, problem: `does not follow the card before (${problem})` })
    head = { address, card: read }
  }

  function onStatement(key: string, address: string, value: Uint8Array): void {
    const card = head?.address === address ? head.card : undefined
    const read = card === undefined ? undefined : readStatement(fromUtf8(value) ?? '', { card, now: options.now })
    // An expired one stays until the device comes back.
    if (read?.ok === true || read?.code === 'statement-expired') return
    findings.push({
      row: key,
      problem: `is no statement of a device on the account's card${read === undefined ? '' : ` (${read.code})`}`,
      repair: { says: 'deletes it; the device publishes a new one', ops: [{ type: 'del', key }] },
    })
  }

  function onOwn(key: string, value: Uint8Array): void {
    const text = fromUtf8(value) ?? ''
    const json = parseJsonObject(text)
    if (key === 'relay/key') {
      hasKey = true
      const read = json.ok ? readKey(json.value) : undefined
      if (read?.ok !== true || !read.key.secret) findings.push({ row: key, problem: 'is no private key' })
    } else if (key === 'relay/meta') {
      hasMeta = true
      if (json.ok && Number(json.value['schema']) > schemaVersion)
        throw new RelayError(
          'ERR_RELAY_STORE_NEWER',
          'the store was written by a newer version; look through it with that version',
        )
      if (!json.ok || typeof json.value['schema'] !== 'number' || typeof json.value['domain'] !== 'string')
        findings.push({ row: key, problem: 'does not say schema and domain' })
    } else if (key === 'relay/key-chain') {
      if (!json.ok || readSuccessions(json.value['chain']) === undefined)
        findings.push({ row: key, problem: 'is no chain of keys' })
    } else if (key === countKey) counted = Number(text)
    else if (key.startsWith('invite/') && !isInvite(json.ok ? json.value : {}))
      findings.push({ row: key, problem: 'is no invitation', repair: { says: 'deletes it', ops: [{ type: 'del', key }] } })
  }

  for await (const [key, value] of store.iterate({})) {
    rows++
    if (mailbox.row(key, value)) continue
    const [, address, family, name] = accountForm.exec(key) ?? []
    if (address !== undefined && name !== undefined && family === 'card') onCard(key, address, name, value)
    else if (address !== undefined && family === 'statement') onStatement(key, address, value)
    else onOwn(key, value)
  }
  if (rows > 0 && !hasMeta) findings.push({ row: 'relay/meta', problem: 'is missing' })
  if (rows > 0 && !hasKey) findings.push({ row: 'relay/key', problem: 'is missing: the relay could not prove its domain' })
  if ((counted ?? 0) !== accounts) {
    const ops = [{ type: 'put', key: countKey, value: utf8(String(accounts)) }] as const
    findings.push({
      row: countKey,
      problem: `says ${counted ?? 'nothing'}, there are ${accounts}`,
      repair: { says: 'writes what is there', ops },
    })
  }
  const all = [...findings, ...mailbox.end()]
  const more = Math.max(0, all.length - findingsMax)
  return { rows, accounts, stanzas: mailbox.stanzas, findings: all.slice(0, findingsMax), more }
}

function isInvite({ created, expiry, uses }: JsonObject): boolean {
  return typeof created === 'number' && typeof expiry === 'number' && typeof uses === 'number'
}
