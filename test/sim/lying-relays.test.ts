import { simulateLyingRelays } from './lying-relays.ts'
import { holds } from './property.ts'

holds({
  name: 'lying relays',
  seeds: { test: 60, soak: 2000 },
  simulate: simulateLyingRelays,
  planted: 'agents that forget their counters',
})
