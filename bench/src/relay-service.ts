/**
 * What is measured: a server in a process of its own, pinned to one core where the system can, and a client that speaks its
 * protocol. The figures of the process are its processor time and its memory, as the system counts them.
 * @module
 */
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { createInterface } from 'node:readline'
import type { Writable } from 'node:stream'
import { WebSocket } from 'ws'

/** One connection. What it sends is taken over by the service when `accepted` is called for it, in order. */
export type Client = {
  send(to: number, body: Uint8Array): void
  close(): Promise<void>
}

export type Listener = {
  readonly message?: (body: Uint8Array) => void
  /** So many more of this client's messages are the service's responsibility now. */
  readonly accepted?: (count: number) => void
}

export type Service = {
  readonly name: string
  /** False where a message for somebody who is away is lost. */
  readonly stores: boolean
  /** Where it listens. */
  readonly port: number
  /** What the server said it did, by name, once it has stopped. */
  totals?(): Readonly<Record<string, number>>
  connect(id: number, listener: Listener): Promise<Client>
  /** Seconds of processor time so far. */
  cpuSeconds(): number
  /** Octets of memory that belong to the process. */
  memoryBytes(): number
  /** Has it collect its garbage, where it is known how. */
  collect?(): Promise<void>
  stop(): Promise<void>
}

export type ServerProcess = Pick<Service, 'cpuSeconds' | 'memoryBytes' | 'stop' | 'port'> & {
  signal(name: NodeJS.Signals): void
  /** What it has written to standard error. */
  stderr(): string
}

export type ServerOptions = {
  /** The first line of standard output that says it is ready; its first group is the port, if it has one. */
  readonly ready: RegExp
  readonly cwd?: string
  readonly env?: Readonly<Record<string, string>>
  /** Where its port is, if it does not tell. */
  readonly port?: number
}

const ticksPerSecond = 100
/** A server that is not ready by then is given up, and one that has not ended by then is killed. */
const [startMs, stopMs] = [60_000, 20_000]

/** A port that nobody has. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise((done) => server.once('listening', done))
  const address = server.address()
  await new Promise((done) => server.close(done))
  return typeof address === 'object' && address !== null ? address.port : 0
}

/** Starts a program of Node that prints `port=…` when it is ready. `--profile=FOLDER` has it write a profile there. */
export async function startNode(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<ServerProcess & Required<Pick<Service, 'collect'>>> {
  const folder = process.argv.find((argument) => argument.startsWith('--profile='))?.slice('--profile='.length)
  const profile = folder === undefined ? [] : ['--cpu-prof', '--cpu-prof-dir', folder]
  const collecting = ['--expose-gc', '--import', new URL('collect.js', import.meta.url).href]
  const server = await startServer([process.execPath, ...profile, ...collecting, ...args], { ready: / port=(\d+)/, env })
  return {
    ...server,
    async collect() {
      server.signal('SIGUSR2')
      // Memory goes back to the system a little later.
      await new Promise((done) => setTimeout(done, 3000))
    },
  }
}

/** Starts a program on the first core. */
export async function startServer(command: readonly string[], options: ServerOptions): Promise<ServerProcess> {
  const { ready, cwd, env, port } = options
  // util-linux has it; elsewhere the system puts the process where it likes.
  const [program = '', ...args] = process.platform === 'linux' ? ['taskset', '-c', '0', ...command] : command
  const child = spawn(program, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(cwd === undefined ? {} : { cwd }),
    env: { ...process.env, ...env },
  })
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr = (stderr + text).slice(-100_000)
  })
  const ended = new Promise<void>((done) => child.once('close', () => done()))
  const { pid } = child
  if (pid === undefined) throw new Error(`${program} cannot be started`)
  const running = new Promise<RegExpExecArray | undefined>((found) => {
    const look = (line: string): void => {
      const match = ready.exec(line)
      if (match !== null) found(match)
    }
    // Read on to the end: a full pipe would stop it.
    for (const input of [child.stdout, child.stderr]) createInterface({ input }).on('line', look)
    child.once('close', () => found(undefined))
    child.once('error', () => found(undefined))
    setTimeout(() => found(undefined), startMs).unref()
  })
  // It does not outlive a run that is broken off.
  const end = (): boolean => child.kill('SIGKILL')
  process.once('exit', end)
  const stop = async (): Promise<void> => {
    child.kill()
    const late = setTimeout(end, stopMs)
    await ended
    clearTimeout(late)
    process.off('exit', end)
  }
  const match = await running
  if (match !== undefined)
    return {
      port: port ?? Number(match[1]),
      cpuSeconds: () => cpuSecondsOf(pid),
      memoryBytes: () => memoryBytesOf(pid),
      stderr: () => stderr,
      signal: (name) => child.kill(name),
      stop,
    }
  await stop()
  throw new Error(`${command.join(' ')} did not start: ${stderr}`)
}

/** Seconds of processor time of a process so far. */
export function cpuSecondsOf(pid: number): number {
  // The name in parentheses may hold spaces; utime and stime are the 14th and 15th fields (proc(5)).
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond
}

export function memoryBytesOf(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) * 1024
}

/** Dials a WebSocket of which all frames of one turn leave together, as those of a well made client do: each alone is a call of the system. */
export function dialWebSocket(url: string, protocol?: string): WebSocket {
  const socket = new WebSocket(url, protocol === undefined ? [] : [protocol], { perMessageDeflate: false })
  socket.once('upgrade', (response) => corkTurns(response.socket))
  return socket
}

/** Dials a TCP port; what is written in one turn leaves together. */
export function dialPort(port: number): Socket {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  corkTurns(socket)
  return socket
}

function corkTurns(stream: Writable): void {
  const write: (chunk: unknown, sent?: () => void) => boolean = stream.write.bind(stream)
  let isCorked = false
  const atOnce = (chunk: unknown, sent?: () => void): boolean => {
    if (!isCorked) {
      isCorked = true
      stream.cork()
      process.nextTick(() => {
        isCorked = false
        stream.uncork()
      })
    }
    return write(chunk, sent)
  }
  // Nobody here names an encoding, which the other form has in between.
  stream.write = atOnce as Writable['write']
}
