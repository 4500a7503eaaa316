// Real processes for the scripted conversation: relays and parley commands, observed through what they print and trace.
import { spawn } from 'node:child_process'
import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))
const relayBin = join(root, 'apps/relay/bin/parley-relay.js')
const parleyBin = join(root, 'apps/cli/bin/parley.js')

/** Every process started here and still running; none outlives this one. */
const running = new Set()

/** Ends everything that was started here. */
export function stopAll() {
  for (const child of running) child.kill('SIGKILL')
}

/** A port that was free a moment ago. */
export function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address()
      server.close(() => resolve(port))
    })
  })
}

/** Starts a relay and waits for its ready line. */
export async function startRelay({ domain, port, data, trace, routes }) {
  const args = [
    relayBin,
    '--domain',
    domain,
    '--port',
    String(port),
    '--data',
    data,
    '--registration',
    'open',
    '--log-level',
    'silent',
    '--trace-wire',
    trace,
  ]
  for (const route of routes) args.push('--route', route)
  const child = start(args)
  const lines = observe(child)
  await lines.next((line) => line.includes('ready'))
  return { domain, pid: child.pid, kill: () => end(child, 'SIGKILL'), stop: () => end(child, 'SIGTERM') }
}

/** Starts a parley command; `next` waits for a JSON line that fits. */
export function startParley(home, args, { input } = {}) {
  const child = start([parleyBin, ...args, '--home', home], input === undefined ? 'ignore' : 'pipe')
  if (input !== undefined) child.stdin.end(input)
  const lines = observe(child)
  return {
    /** The next line that is JSON and fits; lines before it are passed over. */
    async next(fits) {
      const line = await lines.next((text) => fits(parse(text)))
      return parse(line)
    },
    ended: lines.ended,
    stop: () => end(child, 'SIGTERM'),
  }
}

/** Runs a parley command to its end and answers its output. */
export async function parley(home, args, options) {
  const command = startParley(home, args, options)
  const { code, output, errors } = await command.ended
  if (code !== 0) throw new Error(`parley ${args.join(' ')} ended with ${code}: ${errors.trim()}`)
  return output
}

/** Runs a parley command on this very terminal. */
export function attachParley(home, args) {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [parleyBin, ...args, '--home', home], { stdio: 'inherit' })
    child.once('exit', resolve)
  })
}

/** Follows a trace file from its present end; `next` waits for an entry that fits. */
export function followTrace(file) {
  let handle
  let offset = 0
  let rest = ''
  const readOn = () => {
    handle ??= openSync(file, 'r')
    const size = fstatSync(handle).size
    if (size <= offset) return []
    const buffer = Buffer.alloc(size - offset)
    offset += readSync(handle, buffer, 0, buffer.length, offset)
    const lines = (rest + buffer.toString('utf8')).split('\n')
    rest = lines.pop() ?? ''
    return lines.map(parse)
  }
  const seen = readOn()
  seen.length = 0
  return {
    async next(fits, timeoutMs = 10_000) {
      const deadline = Date.now() + timeoutMs
      for (;;) {
        seen.push(...readOn())
        const at = seen.findIndex(fits)
        if (at >= 0) return seen.splice(0, at + 1).at(-1)
        if (Date.now() > deadline) throw new Error('the relay did not show what was waited for')
        // A file has no event that is the same on every system: it is looked at again, for what the process wrote.
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
    },
    close() {
      if (handle !== undefined) closeSync(handle)
    },
  }
}

function start(args, stdin = 'ignore') {
  const child = spawn(process.execPath, args, { stdio: [stdin, 'pipe', 'pipe'], env: { ...process.env, NO_COLOR: '1' } })
  running.add(child)
  child.once('exit', () => running.delete(child))
  return child
}

function end(child, signal) {
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) return resolve()
    child.once('exit', () => resolve())
    child.kill(signal)
  })
}

function observe(child) {
  const lines = []
  const waiting = []
  let errors = ''
  let isOver = false
  const look = () => {
    for (let i = 0; i < waiting.length; ) {
      const at = lines.findIndex(waiting[i].fits)
      if (at >= 0) waiting.splice(i, 1)[0].resolve(lines.splice(0, at + 1).at(-1))
      else if (isOver) waiting.splice(i, 1)[0].reject(new Error(`a process ended early: ${errors.trim()}`))
      else i++
    }
  }
  const output = []
  createInterface({ input: child.stdout }).on('line', (line) => {
    output.push(line)
    lines.push(line)
    look()
  })
  child.stderr.on('data', (part) => {
    errors += part
  })
  const ended = new Promise((resolve) => {
    child.once('close', (code) => {
      isOver = true
      look()
      resolve({ code, output: output.join('\n'), errors })
    })
  })
  return {
    ended,
    next: (fits) =>
      new Promise((resolve, reject) => {
        waiting.push({ fits, resolve, reject })
        look()
      }),
  }
}

function parse(text) {
  try {
    return JSON.parse(text)
  } catch {
    return {}
  }
}
