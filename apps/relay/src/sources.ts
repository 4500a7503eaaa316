/**
 * Where the configuration comes from: flags, PARLEY_RELAY_ variables, a JSON file.
 * @module
 */
import { readFileSync } from 'node:fs'
import { type ConfigResult, type ConfigSource, makeConfig, type RawConfig } from './config.ts'
import { hint } from './nearest.ts'
import { settings, variableOf } from './settings.ts'

/** Names the configuration file. */
const configVariable = 'PARLEY_RELAY_CONFIG'

export type Environment = Readonly<Record<string, string | undefined>>

/** What a caller of the program gave. */
export type Given = { readonly flags: RawConfig; readonly env: Environment; readonly file: string | undefined }

/** Options as commander has read them, as the settings they stand for. */
export function given(options: Readonly<Record<string, unknown>>, env: Environment): Given {
  const { config, route, trustedProxy, allowDomain, denyDomain, ...flags } = options
  const lists = { routes: route, trustedProxies: trustedProxy, allowDomains: allowDomain, denyDomains: denyDomain }
  const known = Object.entries({ ...flags, ...lists }).filter(([name]) => settings.some((setting) => setting.name === name))
  return { flags: Object.fromEntries(known), env, file: (config as string | undefined) ?? env[configVariable] }
}

/** Reads everything anew and joins it. */
export function readConfig(from: Given): ConfigResult {
  const { sources, problems } = readSources(from)
  return problems.length > 0 ? { ok: false, problems } : makeConfig(sources)
}

/** The data folder alone, for commands that need nothing else; `undefined` when nobody names one. */
export function readData(from: Given): string | undefined {
  const named = readSources(from).sources.find(({ raw }) => typeof raw['data'] === 'string')
  return named?.raw['data'] as string | undefined
}

function readSources({ flags, env, file }: Given): {
  readonly sources: readonly ConfigSource[]
  readonly problems: readonly string[]
} {
  const { raw, problems } = fromEnvironment(env)
  const inFile = file === undefined ? { raw: {} } : fromFile(file)
  return {
    sources: [
      { from: 'flag', raw: flags },
      { from: 'environment', raw },
      { from: `${file}`, raw: inFile.raw },
    ],
    problems: [...problems, ...(inFile.problem === undefined ? [] : [inFile.problem])],
  }
}

/** The members that the environment gives. An unknown PARLEY_RELAY_ variable is a problem, because it is a misspelt one. */
export function fromEnvironment(env: Environment): { readonly raw: RawConfig; readonly problems: readonly string[] } {
  const known = new Map(settings.map((setting) => [variableOf(setting), setting]))
  const raw: Record<string, unknown> = {}
  const problems: string[] = []
  for (const [variable, value] of Object.entries(env)) {
    if (!variable.startsWith('PARLEY_RELAY_') || variable === configVariable || value === undefined || value === '') continue
    const setting = known.get(variable)
    const names = [...known.keys()].flatMap((name) => name ?? [])
    if (setting === undefined) problems.push(`${variable}: not known${hint(variable, names)}`)
    else raw[setting.name] = setting.kind === 'list' ? value.split(/\s+/).filter((text) => text !== '') : value
  }
  return { raw, problems }
}

function fromFile(file: string): { readonly raw: RawConfig; readonly problem?: string } {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    return { raw: {}, problem: `${file}: cannot be read (${(error as { code?: string }).code})` }
  }
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { raw: value as RawConfig }
    return { raw: {}, problem: `${file}: is not a JSON object` }
  } catch (error) {
    return { raw: {}, problem: `${file}: is not JSON: ${(error as Error).message}` }
  }
}
