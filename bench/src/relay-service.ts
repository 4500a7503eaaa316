/**
 * What is measured: a server in a process of its own, pinned to one core where the system can, and a client that speaks its
 * protocol. The figures of the process are its processor time and its memory, as the system counts them.
 * @module
 */
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'

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
  connect(id: number, listener: Listener): Promise<Client>
  /** Seconds of processor time so far. */
  cpuSeconds(): number
  /** Octets of memory that belong to the process. */
  memoryBytes(): number
  stop(): Promise<void>
}

export type ServerProcess = Pick<Service, 'cpuSeconds' | 'memoryBytes' | 'stop'> & { readonly port: number }

const ticksPerSecond = 100

/** Starts a program of Node that prints `port=…` when it is ready. */
export async function startServer(args: readonly string[]): Promise<ServerProcess> {
  const stdio: ['ignore', 'pipe', 'inherit'] = ['ignore', 'pipe', 'inherit']
  // util-linux has it; elsewhere the system puts the process where it likes.
  const child =
    process.platform === 'linux'
      ? spawn('taskset', ['-c', '0', process.execPath, ...args], { stdio })
      : spawn(process.execPath, args, { stdio })
  const ended = new Promise<void>((done) => child.once('exit', () => done()))
  const { pid } = child
  for await (const line of createInterface({ input: child.stdout })) {
    const port = / port=(\d+)/.exec(line)?.[1]
    if (port === undefined || pid === undefined) continue
    return {
      port: Number(port),
      cpuSeconds() {
        // The name in parentheses may hold spaces; utime and stime are the 14th and 15th fields (proc(5)).
        const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
        const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
        return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond
      },
      memoryBytes() {
        const status = readFileSync(`/proc/${pid}/status`, 'utf8')
        return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) * 1024
      },
      async stop() {
        child.kill()
        await ended
      },
    }
  }
  throw new Error(`${args.join(' ')} did not start`)
}
