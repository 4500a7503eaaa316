#!/usr/bin/env node
import { setFlagsFromString } from 'node:v8'

// Octets of V8's young generation: stanzas on their way live longer than the default lets them, and would be moved to the old one, a third
// of the processor's time under load. It grows to this only then.
setFlagsFromString('--max-semi-space-size=32')
await import('../dist/main.js')
