#!/usr/bin/env node
import { availableParallelism } from 'node:os'
import { setFlagsFromString } from 'node:v8'

// A stanza's objects live until it is acknowledged. V8 takes that, under load, for a reason to make the next ones in its old generation at
// once; there they are dead within milliseconds, and until the next full collection they keep the young ones that they name.
setFlagsFromString('--no-allocation-site-pretenuring')
// Threads that help with a collection are waited for, also when they have to wait for this one's core.
if (availableParallelism() === 1) setFlagsFromString('--no-parallel-scavenge')
await import('../dist/main.js')
