/**
 * A copy of a whole store while it is in use, and the way back. A backup is a folder: `store`, a LevelDB folder of one snapshot with the
 * relay's key in it; `config.json` where there is one; `backup.json`, which says what it is, with a digest over every row. It is complete
 * when `backup.json` is there.
 * @module
 */
import { createHash, type Hash } from 'node:crypto'
import { cp, mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fromUtf8, parseJsonObject, type Store, type StoreOp, utf8 } from '@parley/core'
import { ensurePrivateFolder, readPrivateFile, writePrivateFile } from '@parley/platform/files'
import { openLevelStore } from '@parley/platform/level'
import { ProgramError } from '../program-error.ts'
import { refuseForeignFolder } from './owner.ts'

/** What a backup says of itself. */
export type BackupNote = {
  readonly format: 1
  readonly domain: string
  /** ISO 8601. */
  readonly made: string
  readonly rows: number
  readonly bytes: number
  /** SHA-256 over every row, hexadecimal. */
  readonly digest: string
}

const noteFile = 'backup.json'
/** Beside the store: the store was restored, so the next start gives its positions a new epoch. */
export const restoredMark = 'restored'
const batchBytes = 1024 * 1024

/** Copies the store into `folder`, which must be empty or absent. */
export async function backUp(
  store: Store,
  options: { readonly folder: string; readonly configFile: string | undefined; readonly now: number },
): Promise<BackupNote> {
  const { folder, configFile, now } = options
  if ((await namesIn(folder)).length > 0)
    throw new ProgramError('target-not-empty', `${folder} is not empty; name another folder`)
  const meta = parseJsonObject(fromUtf8((await store.get('relay/meta')) ?? utf8('')) ?? '')
  const domain = meta.ok ? meta.value['domain'] : undefined
  if (typeof domain !== 'string') throw new ProgramError('store-empty', 'the store does not say of which domain it is')
  await ensurePrivateFolder(folder)
  const copied = await copyRows(store, join(folder, 'store'))
  if (configFile !== undefined) await writePrivateFile(join(folder, 'config.json'), new Uint8Array(await readFile(configFile)))
  const note: BackupNote = { format: 1, domain, made: new Date(now).toISOString(), ...copied }
  await writePrivateFile(join(folder, noteFile), utf8(`${JSON.stringify(note, null, 2)}\n`))
  return note
}

/** Puts a backup into `data`, which must hold no store. The backup is left as it is. */
export async function restore(backup: string, data: string): Promise<BackupNote> {
  const note = await readNote(backup)
  if ((await namesIn(join(data, 'store'))).length > 0)
    throw new ProgramError('target-not-empty', `${data} holds a store; a backup is restored into a folder without one`)
  await refuseForeignFolder(data)
  await ensurePrivateFolder(data)
  const draft = join(data, 'store.restoring')
  await rm(draft, { recursive: true, force: true })
  await cp(join(backup, 'store'), draft, { recursive: true })
  const store = await openLevelStore(draft)
  const seen = await digestOf(store).finally(() => store.close())
  if (seen.digest !== note.digest || seen.rows !== note.rows) {
    await rm(draft, { recursive: true, force: true })
    throw new ProgramError('backup-damaged', 'the backup does not hold what it says; nothing was restored')
  }
  // The mark first: a store without it would continue the old positions.
  await writePrivateFile(join(data, restoredMark), utf8(`${note.made}\n`))
  await rename(draft, join(data, 'store'))
  await syncFolder(data)
  return note
}

async function copyRows(from: Store, folder: string): Promise<{ rows: number; bytes: number; digest: string }> {
  await mkdir(folder, { mode: 0o700 })
  const to = await openLevelStore(folder)
  try {
    const hash = createHash('sha256')
    let rows = 0
    let bytes = 0
    let ops: StoreOp[] = []
    let waiting = 0
    // One iteration is one snapshot, whatever is written meanwhile.
    for await (const [key, value] of from.iterate({})) {
      addRow(hash, key, value)
      rows++
      bytes += key.length + value.length
      waiting += key.length + value.length
      ops.push({ type: 'put', key, value })
      if (waiting < batchBytes) continue
      await to.batch(ops, { durable: false })
      ops = []
      waiting = 0
    }
    // Syncs what came before too.
    await to.batch(ops, { durable: true })
    await to.compact({})
    return { rows, bytes, digest: hash.digest('hex') }
  } finally {
    await to.close()
  }
}

async function digestOf(store: Store): Promise<{ rows: number; digest: string }> {
  const hash = createHash('sha256')
  let rows = 0
  for await (const [key, value] of store.iterate({})) {
    addRow(hash, key, value)
    rows++
  }
  return { rows, digest: hash.digest('hex') }
}

// With lengths, so that no two sets of rows give the same octets.
function addRow(hash: Hash, key: string, value: Uint8Array): void {
  hash.update(`${key.length} ${value.length} ${key}`).update(value)
}

async function readNote(backup: string): Promise<BackupNote> {
  const octets = await readPrivateFile(join(backup, noteFile))
  if (octets === undefined)
    throw new ProgramError('not-a-backup', `${backup} has no ${noteFile}: it is no backup, or one that broke off`)
  const read = parseJsonObject(fromUtf8(octets) ?? '')
  if (!read.ok || read.value['format'] !== 1 || typeof read.value['digest'] !== 'string')
    throw new ProgramError('not-a-backup', `${backup} was made by a newer version, or is damaged`)
  return read.value as unknown as BackupNote
}

async function namesIn(folder: string): Promise<readonly string[]> {
  return readdir(folder).catch((error: { readonly code?: string }) => {
    if (error.code === 'ENOENT') return []
    throw error
  })
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  await handle.sync().finally(() => handle.close())
}
