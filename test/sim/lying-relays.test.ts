import { simulateLyingRelays } from './lying-relays.ts'
import { holds } from './property.ts'

holds({
  name: 'lying relays',
  simulate: simulateLyingRelays,
  planted: 'agents that forget their counters',
})
