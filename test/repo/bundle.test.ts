import { brotliCompressSync } from 'node:zlib'
import { build, type Rolldown } from 'vite'
import { beforeAll, describe, expect, it } from 'vitest'
import { withFolder } from './examples.ts'

const open = (protocol: string, name: string): string =>
  [
    "import { openAgent } from '@parley/agent/browser'",
    `import { ${name} } from '@parley/protocols/${protocol}'`,
    `export const open = (storeKeys) => openAgent({ name: 'profile', storeKeys, protocols: [${name}] })`,
  ].join('\n')

type Bundle = { readonly code: string; readonly modules: readonly string[]; readonly warnings: readonly string[] }

/** What a browser would load: built from what the packages publish, without the condition that leads to the sources. */
async function bundle(source: string): Promise<Bundle> {
  const warnings: string[] = []
  const note = (text: string): void => void warnings.push(text)
  return await withFolder({ 'main.js': source }, async (root) => {
    const result = await build({
      root,
      configFile: false,
      customLogger: {
        info() {},
        warn: note,
        warnOnce: note,
        error: note,
        clearScreen() {},
        hasErrorLogged: () => false,
        hasWarned: false,
      },
      build: {
        write: false,
        lib: { entry: `${root}/main.js`, formats: ['es'] },
      },
    })
    const outputs = (Array.isArray(result) ? result : [result]) as readonly Rolldown.RolldownOutput[]
    const chunks = outputs.flatMap(({ output }) => output.filter((item) => item.type === 'chunk'))
    return {
      code: chunks.map(({ code }) => code).join('\n'),
      modules: chunks.flatMap(({ moduleIds, imports }) => [...moduleIds, ...imports]),
      warnings,
    }
  })
}

describe('a browser bundle of the agent', () => {
  let chat: Bundle
  let ping: Bundle
  beforeAll(async () => {
    chat = await bundle(open('chat', 'chat'))
    ping = await bundle(open('trust-ping', 'trustPing'))
  }, 120_000)

  it('is built without a warning', () => {
    expect(chat.warnings).toEqual([])
  })

  it('holds nothing of Node', () => {
    expect(chat.modules.filter((id) => /node_modules\/(?:ws|classic-level)\/|^node:|__vite-browser-external/.test(id))).toEqual(
      [],
    )
    expect(chat.code.match(/.{0,60}(?:['"`]node:|classic-level|require\(['"`]ws).{0,60}/g)).toBeNull()
  })

  it('holds the protocol that was asked for and no other', () => {
    expect(chat.code).toContain('urn:parley:chat')
    expect(chat.code).not.toContain('urn:parley:trust-ping')
    expect(ping.code).toContain('urn:parley:trust-ping')
    expect(ping.code).not.toContain('urn:parley:chat')
  })
})

it('all of @parley/jwm with its default algorithms is at most 45 kB, minified and compressed', async () => {
  const { code, modules } = await bundle("export * from '@parley/jwm'")
  const bytes = brotliCompressSync(code).length
  console.log(`@parley/jwm: ${code.length} octets minified, ${bytes} of them compressed with brotli`)
  expect(bytes).toBeLessThanOrEqual(45_000)
  // Algorithms beyond the default ones come with an import of their own.
  expect(modules.filter((id) => /chacha|post-quantum|secp256k1|pbkdf2/.test(id))).toEqual([])
}, 60_000)
