/**
 * The commands beside running: each asks the relay that runs on the data folder, and works on the store itself only when none does.
 * @module
 */
import { resolve } from 'node:path'
import type { Json, JsonObject } from '@parley/core'
import type { Account, Invite, Queue, RelayLimits } from '@parley/relay'
import { askRelay } from './control/client.ts'
import { type ControlAnswer, controlPath } from './control/lines.ts'
import { operations } from './operations.ts'
import { isProgramErrorCode, ProgramError } from './program-error.ts'
import type { Changes } from './reload.ts'
import { many, moment, octets, pairs, table } from './show.ts'
import type { Status } from './status.ts'
import { type BackupNote, restore } from './store/backup.ts'
import { withRelayAlone } from './store/offline.ts'
import { drawTop, overdraw, viewOf } from './top.ts'

/** Where a command works and writes. */
export type CommandIo = {
  readonly data: string
  /** Whether it prints JSON. */
  readonly json: boolean
  readonly configFile: string | undefined
  /** Where the relay is reached, as far as the configuration says. */
  readonly url: string | undefined
  /** Those of the configuration, for work on the store of a relay that does not run. */
  readonly limits: Partial<RelayLimits>
  out(text: string): void
  err(text: string): void
}

// Without a network there is nothing to try; what waits is tried when the relay starts.
const ofRunning: readonly string[] = ['queue.retry']

/** Asks the running relay, or does it on the store. */
async function ask(io: CommandIo, name: string, given: JsonObject = {}): Promise<Json> {
  const answer = await askRelay(controlPath(io.data), { do: name, with: given })
  if (answer === undefined) {
    const operation = ofRunning.includes(name) ? undefined : operations[name]
    if (operation === undefined) throw new ProgramError('not-running', `no relay runs on ${io.data}`)
    return withRelayAlone(io, (parts) => operation({ ...parts, url: io.url, configFile: io.configFile }, given))
  }
  return valueIn(answer)
}

/** What a relay has answered, or the error that it told. */
export function valueIn(answer: ControlAnswer): Json {
  if (answer.ok) return answer.value
  const { code, message } = answer
  throw new ProgramError(isProgramErrorCode(code) ? code : 'refused', code.startsWith('ERR_') ? `${code}: ${message}` : message)
}

/** Prints JSON or, for people, the text. */
export function print(io: CommandIo, value: unknown, text: () => string): void {
  io.out(io.json ? `${JSON.stringify(value)}\n` : text())
}

export async function showStatus(io: CommandIo): Promise<void> {
  const status = (await ask(io, 'status')) as unknown as Status
  print(io, status, () => `${drawTop({ status, perSecond: {} }).split('\n\n').slice(0, 2).join('\n\n').trimEnd()}\n`)
}

export async function reloadConfig(io: CommandIo): Promise<void> {
  const { changed, restart } = (await ask(io, 'reload')) as unknown as Changes
  print(io, { changed, restart }, () =>
    pairs([
      ['changed', changed.join(' ') || 'nothing'],
      ['needs a restart', restart.join(' ') || 'nothing'],
    ]),
  )
}

export async function listAccounts(io: CommandIo, given: { readonly after?: string; readonly limit?: string }): Promise<void> {
  const addresses = (await ask(io, 'account.list', { ...given })) as readonly string[]
  print(io, addresses, () => addresses.map((address) => `${address}\n`).join(''))
}

export async function showAccount(io: CommandIo, address: string): Promise<void> {
  const account = (await ask(io, 'account.show', { address })) as unknown as Account
  print(io, account, () => {
    const rows = account.devices.map(({ id, status, online, mailbox }) => [
      id,
      status,
      online ? 'online' : '-',
      `${many(mailbox.count, 'stanza')}, ${octets(mailbox.bytes)}`,
    ])
    const about = pairs([
      ['address', account.address],
      ['registered', moment(account.registered)],
      ['card', `version ${account.version}`],
      ['blocks', account.blocked.join(' ') || '-'],
    ])
    return `${about}\n${table(['device', 'status', 'now', 'waiting'], rows)}`
  })
}

export async function removeAccount(io: CommandIo, address: string): Promise<void> {
  print(io, await ask(io, 'account.remove', { address }), () => `removed ${address} with its data\n`)
}

export async function createInvite(
  io: CommandIo,
  given: { readonly lifetimeMs?: number; readonly uses?: string },
): Promise<void> {
  const invite = (await ask(io, 'invite.create', { ...given })) as unknown as Invite & { readonly link: string }
  print(io, invite, () =>
    pairs([
      ['link', invite.link],
      ['id', invite.id],
      ['accounts', String(invite.uses)],
      ['good until', moment(invite.expiry)],
    ]),
  )
}

export async function listInvites(io: CommandIo): Promise<void> {
  const invites = (await ask(io, 'invite.list')) as unknown as readonly Invite[]
  print(io, invites, () =>
    table(
      ['id', 'made', 'good until', 'accounts'],
      invites.map(({ id, created, expiry, uses }) => [id, moment(created), moment(expiry), String(uses)]),
    ),
  )
}

export async function revokeInvite(io: CommandIo, id: string): Promise<void> {
  print(io, await ask(io, 'invite.revoke', { id }), () => `revoked ${id}\n`)
}

export async function changeBlocks(io: CommandIo, what: 'add' | 'remove', name: string): Promise<void> {
  print(io, await ask(io, `block.${what}`, { name }), () => `${what === 'add' ? 'blocked' : 'no longer blocked'} ${name}\n`)
}

export async function listBlocks(io: CommandIo): Promise<void> {
  const names = (await ask(io, 'block.list')) as readonly string[]
  print(io, names, () => names.map((name) => `${name}\n`).join(''))
}

export async function listQueues(io: CommandIo): Promise<void> {
  const queues = (await ask(io, 'queue.list')) as unknown as readonly Queue[]
  print(io, queues, () =>
    table(
      ['domain', 'stanzas', 'size', 'oldest', 'state', 'next attempt', 'reason'],
      queues.map(({ domain, count, bytes, oldest, state, nextAttempt, reason }) => [
        domain,
        String(count),
        octets(bytes),
        moment(oldest),
        state ?? '-',
        moment(nextAttempt),
        reason ?? '-',
      ]),
    ),
  )
}

export async function retryQueue(io: CommandIo, domain: string): Promise<void> {
  print(
    io,
    await ask(io, 'queue.retry', { domain }),
    () => `trying ${domain} now
`,
  )
}

export async function dropQueue(io: CommandIo, domain: string): Promise<void> {
  const { dropped } = (await ask(io, 'queue.drop', { domain })) as unknown as { readonly dropped: number }
  print(
    io,
    { domain, dropped },
    () => `dropped ${many(dropped, 'stanza')} towards ${domain}; their senders are told
`,
  )
}

export async function changeKey(io: CommandIo): Promise<void> {
  const { key } = (await ask(io, 'key.change')) as unknown as { readonly key: string }
  print(
    io,
    { key },
    () => `the key is ${key} now; routes of other relays that name the old one must be changed
`,
  )
}

export async function makeBackup(io: CommandIo, folder: string): Promise<void> {
  // The relay may run in another folder.
  const note = (await ask(io, 'backup', { folder: resolve(folder) })) as unknown as BackupNote
  print(io, note, () => `backed up ${note.domain}: ${many(note.rows, 'row')}, ${octets(note.bytes)}\n`)
}

export async function restoreBackup(io: CommandIo, folder: string): Promise<void> {
  if ((await askRelay(controlPath(io.data), { do: 'status', with: {} })) !== undefined)
    throw new ProgramError('running', `a relay runs on ${io.data}; stop it first`)
  const note = await restore(folder, io.data)
  print(io, note, () => `restored ${note.domain} as of ${note.made}: ${many(note.rows, 'row')}, ${octets(note.bytes)}\n`)
}

/** Draws until `stopped`; once, with the rates of half a second, when asked. */
export async function showTop(
  io: CommandIo,
  options: { readonly once: boolean; readonly intervalMs: number; readonly stopped: Promise<void> },
): Promise<void> {
  const look = async (): Promise<Status> => (await ask(io, 'status')) as unknown as Status
  let ended = false
  const stop = options.stopped.then(() => {
    ended = true
  })
  const intervalMs = options.once ? Math.min(500, options.intervalMs) : options.intervalMs
  let before = await look()
  let at = performance.now()
  do {
    await Promise.race([pause(intervalMs), stop])
    if (ended) return
    const status = await look()
    const now = performance.now()
    const view = viewOf(before, status, (now - at) / 1000)
    before = status
    at = now
    print(io, { ...view.status, perSecond: view.perSecond }, () => (options.once ? '' : overdraw) + drawTop(view))
  } while (!options.once)
}

function pause(ms: number): Promise<void> {
  return new Promise((done) => setTimeout(done, ms))
}
