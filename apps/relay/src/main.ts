/**
 * The entry of `parley-relay`: hands the process to the program.
 * @module
 */
import { runProgram } from './program.ts'

process.exitCode = await runProgram({
  argv: process.argv.slice(2),
  env: process.env,
  out: (text) => void process.stdout.write(text),
  err: (text) => void process.stderr.write(text),
  onSignal(names, fn) {
    for (const name of names) process.on(name, fn)
    return () => {
      for (const name of names) process.off(name, fn)
    }
  },
})
