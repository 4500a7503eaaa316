/**
 * Whose folder it is. A command that root types would leave files in it that the relay, which runs as somebody else, cannot open.
 * @module
 */
import { stat } from 'node:fs/promises'
import { geteuid } from 'node:process'
import { ProgramError } from '../program-error.ts'

/** Refuses to work in a folder of another user; one that is not there is nobody's. */
export async function refuseForeignFolder(folder: string): Promise<void> {
  const mine = geteuid?.()
  const found = await stat(folder).catch((error: { readonly code?: string }) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  if (mine === undefined || found === undefined || found.uid === mine) return
  throw new ProgramError(
    'usage',
    `${folder} is the folder of the user with the number ${found.uid}: run this as that user, for example with sudo -u '#${found.uid}'`,
  )
}
