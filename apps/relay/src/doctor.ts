/**
 * The doctor: looks through the store, also of a relay that runs, and mends it when none does. A database that cannot be opened is put
 * together from the tables that can still be read.
 * @module
 */
import { join } from 'node:path'
import { isMessagingError, type StoreOp } from '@parley/core'
import { writePrivateFile } from '@parley/platform/files'
import { salvageLevelStore } from '@parley/platform/level'
import { checkStore, type StoreCheck } from '@parley/relay'
import { type CommandIo, print, valueIn } from './commands.ts'
import { askRelay } from './control/client.ts'
import { controlPath } from './control/lines.ts'
import { ProgramError } from './program-error.ts'
import { many } from './show.ts'
import { restoredMark } from './store/backup.ts'
import { openStoreAlone } from './store/offline.ts'

/** Looks through the store; answers whether everything is as it should be, or was mended. */
export async function examine(io: CommandIo, { repair }: { readonly repair: boolean }): Promise<boolean> {
  const answer = await askRelay(controlPath(io.data), { do: 'doctor', with: {} })
  if (answer !== undefined) {
    if (repair) throw new ProgramError('running', `a relay runs on ${io.data}; stop it to repair the store`)
    return report(io, valueIn(answer) as unknown as StoreCheck)
  }
  if (repair) await salvage(io)
  const store = await openStoreAlone(io.data)
  try {
    const found = await checkStore(store, { now: Date.now() })
    if (found.findings.length === 0 || !repair) return report(io, found)
    // As JSON it is one object in the end.
    if (!io.json) report(io, found)
    // What is dropped changes sums, so it is looked at once more.
    for (let round = 0; round < 2; round++) {
      const { findings } = await checkStore(store, { now: Date.now() })
      const ops: readonly StoreOp[] = findings.flatMap((finding) => finding.repair?.ops ?? [])
      if (ops.length > 0) await store.batch(ops, { durable: true })
    }
    if (!io.json) io.out('repaired; what is left:\n')
    return report(io, await checkStore(store, { now: Date.now() }), found.findings)
  } finally {
    await store.close()
  }
}

function report(
  io: CommandIo,
  { rows, accounts, stanzas, findings, more }: StoreCheck,
  before?: StoreCheck['findings'],
): boolean {
  const shown = (list: StoreCheck['findings']) =>
    list.map(({ row, problem, repair }) => ({ row, problem, repair: repair?.says ?? null }))
  const summary = {
    rows,
    accounts,
    stanzas,
    more,
    findings: shown(findings),
    ...(before === undefined ? {} : { before: shown(before) }),
  }
  print(io, summary, () => {
    const lines = findings.map(({ row, problem, repair }) => `${row}: ${problem} [${repair?.says ?? 'only a backup helps'}]\n`)
    const found = findings.length + more
    const summed = [many(rows, 'row'), many(accounts, 'account'), many(stanzas, 'stanza')].join(', ')
    return `${lines.join('')}${summed}: ${found === 0 ? 'all as it should be' : many(found, 'finding')}\n`
  })
  return findings.length === 0
}

// A store that cannot be opened is put together from the tables that can still be read; its positions may be old then.
async function salvage(io: CommandIo): Promise<void> {
  try {
    await (await openStoreAlone(io.data)).close()
  } catch (error) {
    if (!isMessagingError(error) || error.code !== 'ERR_CORE_STORE_CORRUPT') throw error
    await writePrivateFile(join(io.data, restoredMark), new Uint8Array(0))
    await salvageLevelStore(join(io.data, 'store'))
    const say = io.json ? io.err : io.out
    say('the database was damaged; what can be read of it was put together anew\n')
  }
}
