/**
 * The programs as a person runs them: relays and `parley` commands in processes of their own, on loopback, with folders below
 * one temporary folder. A wait ends with what was observed or with an error, never with the mere passing of time.
 * @module
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))
const relayBin = join(root, 'apps/relay/bin/parley-relay.js')
export const parleyBin: string = join(root, 'apps/cli/bin/parley.js')
/** The scripted conversation of `npm start`. */
export const conversation: string = join(root, 'scripts/start/main.mjs')
const waitMsMax = 25_000

/** Members of the JSON lines that the programs print. */
export type Shown = {
  readonly event?: string
  readonly id?: string
  readonly attempt?: number
  readonly from?: string
  readonly text?: string
  readonly thread_id?: string
  readonly referent_id?: string
  readonly state?: string
  readonly address?: string
  readonly version?: number
  readonly cause?: string
  readonly code?: string
  readonly ahead?: number
}

/** A line on standard output; `json` is empty when the line is no JSON object. */
export type Line = { readonly text: string; readonly json: Shown }

export type Ended = { readonly code: number | null; readonly signal: string | null; readonly out: string; readonly err: string }

/** A process that was started here. */
export type Program = {
  readonly pid: number
  /** What it has printed so far. */
  readonly lines: readonly Line[]
  readonly ended: Promise<Ended>
  /** The next line that fits; those before it are passed over. */
  next(fits: (line: Line) => boolean): Promise<Line>
  /** Calls the function for every line that comes from now on. */
  watch(fn: (line: Line) => void): void
  write(text: string | Uint8Array): void
  /** Closes its standard input. */
  end(): void
  kill(): Promise<Ended>
  /** Ends it with SIGTERM, as a person's system does. */
  stop(): Promise<Ended>
}

export type RunOptions = { readonly input?: string | Uint8Array; readonly env?: Readonly<Record<string, string>> }

export type RelayOptions = {
  readonly domain: string
  readonly data: string
  readonly port?: number
  readonly trace?: string
  readonly args?: readonly string[]
}

/** A relay's process and what it takes to start it again at the same place. */
export type Relay = {
  readonly domain: string
  readonly url: string
  readonly data: string
  readonly trace: string
  readonly program: Program
  /** Starts it again; resolves when it is ready, the process itself is there at once. */
  restart(): Promise<void>
}

export type Stage = {
  /** A path below the stage's own folder. */
  path(name: string): string
  /** Starts a program. */
  execute(file: string, args: readonly string[], options?: RunOptions): Program
  /** Starts a program of Node. */
  start(args: readonly string[], options?: RunOptions): Program
  /** Starts a parley command on the profile of that name. */
  parley(profile: string, args: readonly string[], options?: RunOptions): Program
  /** Runs a parley command to its end. */
  run(profile: string, args: readonly string[], options?: RunOptions): Promise<Ended>
  /** Runs a parley command to its end, which must be a good one, and answers its output. */
  output(profile: string, args: readonly string[], options?: RunOptions): Promise<string>
  /** Starts parley-relay as given, without waiting. */
  relayProgram(options: RelayOptions): Program
  /** Relay a and relay b, each with a route to the other. */
  relays(options?: { readonly traceOctets?: number }): Promise<{ readonly a: Relay; readonly b: Relay }>
  close(): Promise<void>
}

export const alice = 'alice@a.localhost'
export const bob = 'bob@b.localhost'

const running = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

/** An empty stage; `close` ends every process that was started on it and removes its folder. */
export function createStage(): Stage {
  const folder = mkdtempSync(join(tmpdir(), 'parley e2e '))
  const programs = new Set<Program>()

  function execute(file: string, args: readonly string[], { input, env }: RunOptions = {}): Program {
    const child = spawn(file, args, { cwd: folder, stdio: 'pipe', env: { ...environment(folder), ...env } })
    const program = observe(child, args.slice(1).join(' '))
    programs.add(program)
    program.ended.then(() => programs.delete(program))
    if (input !== undefined) child.stdin.end(input)
    return program
  }

  const start: Stage['start'] = (args, options) => execute(process.execPath, args, options)

  function relayProgram({ domain, data, port = 0, trace, args = [] }: RelayOptions): Program {
    const traced = trace === undefined ? [] : ['--trace-wire', trace]
    const fixed = ['--domain', domain, '--port', String(port), '--data', data, '--log-level', 'silent']
    return start([relayBin, ...fixed, ...traced, ...args])
  }

  const stage: Stage = {
    path: (name) => join(folder, name),
    execute,
    start,
    parley: (profile, args, options) => start([parleyBin, ...args, '--home', join(folder, profile)], options),
    run(profile, args, options) {
      const { ended, lines } = stage.parley(profile, args, { input: '', ...options })
      return inTime(ended, () => `${args.join(' ')}: not ended, after ${lines.at(-1)?.text ?? 'printing nothing'}`)
    },
    async output(profile, args, options) {
      const { code, out, err } = await stage.run(profile, args, options)
      if (code !== 0) throw new Error(`parley ${args.join(' ')} ended with ${code}: ${err}`)
      return out
    },
    relayProgram,
    async relays({ traceOctets } = {}) {
      const ports = [await freePort(), await freePort()] as const
      const make = async (name: string, other: string, [port, otherPort]: readonly [number, number]): Promise<Relay> => {
        const options: RelayOptions = {
          domain: `${name}.localhost`,
          data: join(folder, `relay-${name}`),
          port,
          ...(traceOctets === undefined ? {} : { trace: join(folder, `${name}.trace`) }),
          args: [
            ...['--route', `${other}.localhost=ws://127.0.0.1:${otherPort}`],
            ...(traceOctets === undefined ? [] : ['--trace-octets', String(traceOctets)]),
          ],
        }
        let program = relayProgram(options)
        await ready(program)
        const { domain, data } = options
        return {
          domain,
          data,
          url: `ws://127.0.0.1:${port}`,
          trace: join(folder, `${name}.trace`),
          get program() {
            return program
          },
          async restart() {
            program = relayProgram(options)
            await ready(program)
          },
        }
      }
      const [a, b] = await Promise.all([make('a', 'b', ports), make('b', 'a', [ports[1], ports[0]])])
      return { a, b }
    },
    async close() {
      await Promise.all([...programs].map((program) => program.kill()))
      rmSync(folder, { recursive: true, force: true, maxRetries: 3 })
    },
  }
  return stage
}

/** Waits for the line by which a relay says that it listens. */
export async function ready(relay: Program): Promise<number> {
  const { text } = await relay.next((line) => line.text.startsWith('parley-relay ready '))
  return Number(/ port=(\d+) /.exec(text)?.[1])
}

/** The relay has let the agent in: printed by commands with `--events`. */
export function isReady({ json }: Line): boolean {
  return json.event === 'connection' && json.state === 'ready'
}

/** One frame that a relay had on the wire. */
export type Traced = {
  readonly direction: 'in' | 'out'
  readonly kind: 'device' | 'relay'
  readonly header: {
    readonly t: string
    readonly id?: string
    readonly from?: string
    readonly entries?: readonly (readonly [device: string, length: number])[]
  }
  readonly payload: string
  readonly payload_bytes: number
}

/** All frames that a relay has traced so far. */
export function readTrace(file: string): readonly Traced[] {
  const lines = readFileSync(file, 'utf8').split('\n')
  return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as Traced)
}

/**
 * A free port below those that a system gives to outgoing connections: another process's connection must not take the port of
 * a relay while it is down.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(20_000, 32_000)
    if (await isFree(port)) return port
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((answer) => {
    const server = createServer()
    server.once('error', () => answer(false))
    server.listen(port, '127.0.0.1', () => server.close(() => answer(true)))
  })
}

function environment(home: string): Record<string, string | undefined> {
  const kept = Object.entries(process.env).filter(([name]) => !/^(?:PARLEY_|NODE_OPTIONS$|FORCE_COLOR$|VITEST)/.test(name))
  return { ...Object.fromEntries(kept), HOME: home, NO_COLOR: '1' }
}

function observe(child: ChildProcess & { readonly stdin: NonNullable<ChildProcess['stdin']> }, name: string): Program {
  const lines: Line[] = []
  const watchers: ((line: Line) => void)[] = []
  const waiting = new Set<{ readonly fits: (line: Line) => boolean; done(line: Line): void; failed(error: Error): void }>()
  let seen = 0
  let out = ''
  let err = ''
  let over: Ended | undefined
  running.add(child)
  child.once('exit', () => running.delete(child))
  // A command that has ended does not read what is still written to it.
  child.stdin.on('error', () => {})

  const look = (): void => {
    for (const wait of waiting) {
      const at = lines.findIndex((line, i) => i >= seen && wait.fits(line))
      if (at >= 0) {
        seen = at + 1
        waiting.delete(wait)
        wait.done(lines[at] as Line)
      } else if (over !== undefined) {
        waiting.delete(wait)
        wait.failed(new Error(`${name}: ended with ${over.code ?? over.signal}: ${tail()}`))
      }
    }
  }
  const tail = (): string => [...lines.slice(-5).map(({ text }) => text), err].join('\n')
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    out += text
  })
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    err += text
  })
  if (child.stdout !== null) {
    createInterface({ input: child.stdout, crlfDelay: Number.POSITIVE_INFINITY }).on('line', (text) => {
      const line = { text, json: parse(text) }
      lines.push(line)
      for (const watcher of watchers) watcher(line)
      look()
    })
  }
  const ended = new Promise<Ended>((done) => {
    child.once('close', (code, signal) => {
      over = { code, signal, out, err }
      look()
      done(over)
    })
  })
  const signalled = (signal: NodeJS.Signals): Promise<Ended> => {
    child.kill(signal)
    return inTime(ended, () => `${name}: not ended by ${signal}`)
  }
  return {
    pid: child.pid ?? 0,
    lines,
    ended,
    next(fits) {
      const found = new Promise<Line>((done, failed) => {
        waiting.add({ fits, done, failed })
        look()
      })
      return inTime(found, () => `${name}: did not print what was waited for: ${tail()}`)
    },
    watch: (fn) => watchers.push(fn),
    write: (text) => void child.stdin.write(text),
    end: () => void child.stdin.end(),
    kill: () => signalled('SIGKILL'),
    stop: () => signalled('SIGTERM'),
  }
}

/** The promise, or an error when it takes too long. */
export function inTime<T>(promise: Promise<T>, what: () => string, ms: number = waitMsMax): Promise<T> {
  return new Promise((done, failed) => {
    const timer = setTimeout(() => failed(new Error(`${what()} (after ${ms} ms)`)), ms)
    promise.then(done, failed).finally(() => clearTimeout(timer))
  })
}

function parse(text: string): Shown {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as Shown) : {}
  } catch {
    return {}
  }
}
