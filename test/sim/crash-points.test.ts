import { simulateCrashPoints } from './crash-points.ts'
import { holds } from './property.ts'

// One seed has some 350 points.
holds({
  name: 'crash points',
  seeds: { test: 1, soak: 12 },
  simulate: simulateCrashPoints,
  planted: 'disks that say "synced" too early',
})
