import { simulateCrashPoints } from './crash-points.ts'
import { holds } from './property.ts'

// One seed has some 350 points.
holds({
  name: 'crash points',
  simulate: simulateCrashPoints,
  planted: 'disks that say "synced" too early',
})
