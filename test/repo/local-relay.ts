/**
 * A relay for a.localhost on a free port, with a real database and real sockets, in this process.
 * @module
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Domain, toDomain } from '@parley/core'
import { requestHttp } from '@parley/platform/http'
import { openLevelStore } from '@parley/platform/level'
import { listenWebSocket } from '@parley/platform/server'
import { systemClock, systemRandom } from '@parley/platform/system'
import { dialWebSocket } from '@parley/platform/websocket'
import { createRelay } from '@parley/relay'

export type LocalRelay = { readonly url: string; close(): Promise<void> }

export async function startRelay(): Promise<LocalRelay> {
  const data = mkdtempSync(join(tmpdir(), 'parley-relay-'))
  const store = await openLevelStore(join(data, 'store'))
  const relay = await createRelay({
    domain: toDomain('a.localhost') as Domain,
    store,
    transport: { dial: dialWebSocket, listen: listenWebSocket, request: requestHttp },
    clock: systemClock,
    random: systemRandom,
    registration: 'open',
  })
  return {
    url: `ws://127.0.0.1:${relay.port}`,
    async close() {
      await relay.close()
      await store.close()
      rmSync(data, { recursive: true, force: true })
    },
  }
}
