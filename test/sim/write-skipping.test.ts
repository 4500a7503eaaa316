import { holds } from './property.ts'
import { simulateWriteSkipping } from './write-skipping.ts'

// Guarantees 1 and 5 where a relay does not write what a device has acknowledged in time.
holds({
  name: 'write skipping',
  simulate: simulateWriteSkipping,
  planted: 'disks that say "synced" too early',
})
