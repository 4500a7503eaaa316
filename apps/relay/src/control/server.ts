/**
 * The end of the control socket in a running relay.
 * @module
 */
import { chmod, rm } from 'node:fs/promises'
import { createServer, type Socket } from 'node:net'
import type { Json, JsonObject } from '@parley/core'
import { type ControlAnswer, controlLimits, fitsSocket, readLines, readRequest, writeLine } from './lines.ts'

export type ControlServer = { close(): Promise<void> }

export type ControlServerOptions = {
  readonly path: string
  /** Answers a request, or throws what the caller is told. */
  answer(name: string, given: JsonObject): Promise<Json>
  /** What a caller is told of an error. */
  tell(error: unknown): { readonly code: string; readonly message: string }
}

/** Listens on `path`, in place of what an ended process left there; `undefined` when no socket can have that path. */
export async function listenControl(options: ControlServerOptions): Promise<ControlServer | undefined> {
  const { path } = options
  if (!fitsSocket(path)) return undefined
  // Whoever holds the store may: no other relay runs on this folder.
  await rm(path, { force: true })
  const open = new Set<Socket>()
  const server = createServer((socket) => {
    open.add(socket)
    socket.on('close', () => open.delete(socket))
    socket.on('error', () => {})
    if (open.size > controlLimits.connectionsMax) socket.destroy()
    else serve(socket, options)
  })
  await new Promise<void>((listening, failed) => {
    server.once('error', failed)
    server.listen(path, listening)
  })
  // The folder is 0700 already, so nobody came in between.
  await chmod(path, 0o600)
  return {
    close() {
      const closed = new Promise<void>((done) => server.close(() => done()))
      for (const socket of open) socket.destroy()
      return closed
    },
  }
}

function serve(socket: Socket, { answer, tell }: ControlServerOptions): void {
  const idle = (): void => void socket.setTimeout(controlLimits.idleMs, () => socket.destroy())
  // One after another, in the order in which they came.
  let tail: Promise<void> = Promise.resolve()
  async function handle(line: Uint8Array): Promise<void> {
    const request = readRequest(line)
    socket.setTimeout(0)
    const answered: ControlAnswer =
      request === undefined
        ? { ok: false, code: 'usage', message: 'a request is {"do":NAME,"with":{…}} on one line' }
        : await answer(request.do, request.with).then(
            (value) => ({ ok: true, value }),
            (error) => ({ ok: false, ...tell(error) }),
          )
    socket.write(writeLine(answered))
    idle()
  }
  idle()
  readLines(socket, {
    bytesMax: controlLimits.requestBytesMax,
    onLine(line) {
      tail = tail.then(() => handle(line))
    },
  })
}
