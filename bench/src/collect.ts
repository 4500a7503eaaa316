/**
 * Preloaded into a server of Node's that is measured: SIGUSR2 has it collect its garbage, so that its memory is what it uses. The
 * process needs `--expose-gc`.
 * @module
 */
process.on('SIGUSR2', () => {
  globalThis.gc?.()
  globalThis.gc?.()
})
