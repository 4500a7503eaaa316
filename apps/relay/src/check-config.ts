/**
 * `check-config`: what would run, with where each setting comes from; or everything that is wrong, in the files that it names too.
 * @module
 */
import type { CommandIo } from './commands.ts'
import type { Config, ConfigResult, Origin } from './config.ts'
import { moment, table } from './show.ts'
import { readTls } from './tls.ts'

/** Prints what would run with where it comes from; answers whether it would. */
export function checkConfig(result: ConfigResult, io: Pick<CommandIo, 'json' | 'out' | 'err'>): boolean {
  const problems = result.ok ? problemsOutside(result.config) : result.problems
  if (!result.ok || problems.length > 0) {
    if (io.json) io.out(`${JSON.stringify({ ok: false, problems })}\n`)
    else for (const problem of problems) io.err(`parley-relay: ${problem}\n`)
    return false
  }
  const { origins } = result
  if (io.json) io.out(`${JSON.stringify({ ok: true, settings: origins })}\n`)
  else
    io.out(
      table(
        ['setting', 'value', 'from'],
        origins.map(({ name, value, from }) => [name, shown(value), from]),
      ),
    )
  return true
}

function problemsOutside({ tls }: Config): readonly string[] {
  if (tls === undefined) return []
  try {
    const { expiry } = readTls(tls)
    return expiry < Date.now() ? [`tlsCert: ${tls.cert} ended on ${moment(expiry)}`] : []
  } catch (error) {
    return [(error as Error).message]
  }
}

function shown(value: Origin['value']): string {
  if (value === undefined || (Array.isArray(value) && value.length === 0)) return '-'
  return Array.isArray(value) ? value.join(' ') : String(value)
}
