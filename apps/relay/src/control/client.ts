/**
 * The end of the control socket in a command.
 * @module
 */
import { connect } from 'node:net'
import type { JsonObject } from '@parley/core'
import { ProgramError } from '../program-error.ts'
import { type ControlAnswer, controlLimits, fitsSocket, readAnswer, readLines, writeLine } from './lines.ts'

/** Asks the relay that listens on `path`; `undefined` when none does. */
export function askRelay(
  path: string,
  request: { readonly do: string; readonly with: JsonObject },
): Promise<ControlAnswer | undefined> {
  if (!fitsSocket(path)) return Promise.resolve(undefined)
  return new Promise((done, failed) => {
    const socket = connect(path)
    socket.once('connect', () => socket.write(writeLine(request)))
    socket.once('error', (error: { readonly code?: string }) => {
      // No socket, or one that a killed relay has left.
      if (error.code === 'ENOENT' || error.code === 'ECONNREFUSED') done(undefined)
      else if (error.code === 'EACCES')
        failed(new ProgramError('usage', `${path} may not be opened: run this as the user whom the relay runs as`))
      else failed(error)
    })
    socket.once('close', () => failed(new Error('the relay ended before it answered')))
    readLines(socket, {
      bytesMax: controlLimits.answerBytesMax,
      onLine(line) {
        done(readAnswer(line) ?? { ok: false, code: 'refused', message: 'the relay’s answer cannot be read' })
        socket.destroy()
      },
    })
  })
}
