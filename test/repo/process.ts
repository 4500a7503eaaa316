/**
 * Runs a program to its end.
 * @module
 */
import { spawn } from 'node:child_process'

export type Ended = { readonly status: number | null; readonly out: string; readonly err: string }

export type RunOptions = { readonly cwd: string; readonly timeoutMs?: number; readonly env?: Readonly<Record<string, string>> }

export function run(program: string, args: readonly string[], options: RunOptions): Promise<Ended> {
  return new Promise((done, failed) => {
    const child = spawn(program, args, {
      cwd: options.cwd,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, NO_COLOR: '1', ...options.env },
      timeout: options.timeoutMs ?? 60_000,
    })
    let out = ''
    let err = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      out += text
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      err += text
    })
    child.on('error', failed)
    child.on('close', (status) => done({ status, out, err }))
  })
}

/** Like `run`, but answers standard output and fails with everything that was said when the program does. */
export async function output(program: string, args: readonly string[], options: RunOptions): Promise<string> {
  const { status, out, err } = await run(program, args, options)
  if (status !== 0) throw new Error(`${program} ${args.join(' ')}: exit ${status}\n${out}${err}`)
  return out
}
