import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { withFolder } from '../repo/examples.ts'
import { output } from '../repo/process.ts'

// Makes and opens one message and prints the most memory that the process ever held, in KiB.
const script = `
import { webcrypto } from 'node:crypto'
import { generateKey, importKey, publicJwk } from '@parley/jose'
import { makeJwm, openJwm } from '@parley/jwm'
const [form, size] = process.argv.slice(2)
const random = { bytes: (length) => webcrypto.getRandomValues(new Uint8Array(length)) }
const alice = generateKey('Ed25519', { random })
const bob = generateKey('X25519', { random })
const payload = new TextEncoder().encode(JSON.stringify({ body: { text: 'x'.repeat(Number(size)) } }))
const made = makeJwm(payload, { signers: [importKey(alice)], recipients: [importKey(publicJwk(bob))], random, form })
const input = form === 'flattened' ? JSON.stringify(made.jwm) : made.jwm
const opened = openJwm(input, { keys: [importKey(bob)], verifyKeys: [importKey(publicJwk(alice))] })
if (!opened.ok || opened.payload.length !== payload.length) throw new Error('not opened')
console.log(process.resourceUsage().maxRSS)
`
const mebibytes = 8
const size = mebibytes * 1024 * 1024

describe('peak memory of making and opening 8 MiB', () => {
  // docs/jwm-binary.md states these bounds.
  it.each([
    ['binary', 20],
    ['compact', 28],
    ['flattened', 28],
  ])('in the %s serialization is below %i times the content', { timeout: 60_000 }, async (form, times) => {
    await withFolder({}, async (folder) => {
      const file = join(folder, 'measure.mjs')
      writeFileSync(file, script)
      const peak = async (length: number): Promise<number> =>
        Number(await output('node', [file, form, String(length)], { cwd: folder })) / 1024
      const growth = (await peak(size)) - (await peak(10))
      expect(growth).toBeGreaterThan(mebibytes)
      expect(growth).toBeLessThan(times * mebibytes)
    })
  })
})
