/**
 * Private folders and files on Node: folders 0700, files 0600, replaced atomically and synced.
 * Holds what must not stand in a database, such as the key under which the database's secrets are sealed.
 * @module
 */
import { chmod, mkdir, open, readdir, readFile, rename } from 'node:fs/promises'
import { dirname } from 'node:path'
import { CoreError } from '@parley/core'

/** Makes the folder if it is absent and takes everybody else's rights away. */
export async function ensurePrivateFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  await chmod(folder, 0o700)
}

/**
 * Refuses a LevelDB folder that has lost the file which names the others, with `ERR_CORE_STORE_CORRUPT`. Call it before opening:
 * LevelDB would take the folder for a new one, and delete what it does not know.
 */
export async function refuseHeadlessStore(folder: string): Promise<void> {
  const names = await readdir(folder).catch((error: { readonly code?: unknown }): string[] => {
    if (error.code === 'ENOENT') return []
    throw error
  })
  // A database that died while it was made has neither tables nor a log yet.
  if (!names.includes('CURRENT') && names.some((name) => /\.(?:ldb|sst|log)$/.test(name)))
    throw new CoreError('ERR_CORE_STORE_CORRUPT', 'the store is damaged; restore a backup or repair it')
}

/** The file's octets, or `undefined` when there is none. */
export async function readPrivateFile(file: string): Promise<Uint8Array | undefined> {
  try {
    return new Uint8Array(await readFile(file))
  } catch (error) {
    if ((error as { code?: unknown }).code === 'ENOENT') return undefined
    throw error
  }
}

/** Replaces the file: after a crash it holds the old octets or the new ones, never a part. */
export async function writePrivateFile(file: string, octets: Uint8Array): Promise<void> {
  const draft = `${file}.new`
  const handle = await open(draft, 'w', 0o600)
  try {
    await handle.writeFile(octets)
    await handle.sync()
  } finally {
    await handle.close()
  }
  await rename(draft, file)
  await syncFolder(dirname(file))
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
