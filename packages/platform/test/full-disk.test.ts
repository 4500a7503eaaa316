import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Store } from '@parley/core'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openLevelStore, openReopeningStore } from '../src/level/index.ts'

/** A file system of `size` on the folder; not everybody may mount one. */
function mount(folder: string, size: string): boolean {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', folder], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

const probe = mkdtempSync(join(tmpdir(), 'parley-probe-'))
const mayMount = mount(probe, '1m')
if (mayMount) execFileSync('umount', [probe])
rmSync(probe, { recursive: true })

const value = new Uint8Array(100_000)
const put = (key: string) => [{ type: 'put', key, value }] as const

/** Writes until the disk is full; answers how many values were taken. */
async function fill(store: Store): Promise<number> {
  let taken = 0
  const everything = async (): Promise<void> => {
    for (;;) {
      await store.batch(put(String(taken)), { durable: true })
      taken++
    }
  }
  await expect(everything()).rejects.toMatchObject({ code: 'ERR_CORE_STORE_FULL', retryable: true })
  return taken
}

describe.skipIf(!mayMount)('a store on a disk that is full', () => {
  let folder: string
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'parley-full-'))
    mount(folder, '3m')
  })
  afterEach(() => {
    execFileSync('umount', [folder])
    rmSync(folder, { recursive: true })
  })

  it('says so, is read as before, and loses nothing that it took, before and after it is opened again', async () => {
    const store = await openLevelStore(join(folder, 'store'))
    const taken = await fill(store)
    expect(taken).toBeGreaterThan(10)
    expect(await store.get(String(taken - 1))).toEqual(value)
    execFileSync('mount', ['-o', 'remount,size=30m', folder])
    // There is room, but behind half a record this would be lost.
    await expect(store.batch(put('behind'), { durable: true })).rejects.toMatchObject({ code: 'ERR_CORE_STORE_FULL' })
    await store.close()
    const again = await openLevelStore(join(folder, 'store'))
    await again.batch(put('after'), { durable: true })
    await again.close()
    const last = await openLevelStore(join(folder, 'store'))
    for (let i = 0; i < taken; i++) expect((await last.get(String(i)))?.length).toBe(value.length)
    expect((await last.get('after'))?.length).toBe(value.length)
    await last.close()
  })

  it('goes on by itself once there is room, where it is opened so', async () => {
    const store = await openReopeningStore(() => openLevelStore(join(folder, 'store')))
    const taken = await fill(store)
    // As long as there is no room it says so, however often it is asked.
    for (let i = 0; i < 5; i++)
      await expect(store.batch(put('none'), { durable: true })).rejects.toMatchObject({ retryable: true })
    execFileSync('mount', ['-o', 'remount,size=30m', folder])
    await store.batch(put('after'), { durable: true })
    for (let i = 0; i < taken; i++) expect((await store.get(String(i)))?.length).toBe(value.length)
    await store.close()
    await expect(store.get('after')).rejects.toMatchObject({ code: 'ERR_CORE_STORE_CLOSED' })
    const again = await openLevelStore(join(folder, 'store'))
    for (const key of [...Array.from({ length: taken }, (_, i) => String(i)), 'after'])
      expect((await again.get(key))?.length).toBe(value.length)
    await again.close()
  })
})
