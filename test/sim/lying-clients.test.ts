import { simulateLyingClients } from './lying-clients.ts'
import { holds } from './property.ts'

holds({
  name: 'lying clients',
  simulate: simulateLyingClients,
  planted: 'a relay that has its reader pin the liar at first contact',
})
