// Vitest reporter: the closing line "N passed, N failed" alone on its line, for people and for CI.
export default class ClosingLine {
  onTestRunEnd(modules, errors) {
    // errors: throws outside a test, or a runner that could not start
    const skips = []
    const count = { passed: 0, failed: errors.length, skipped: 0 }
    for (const module of modules) {
      for (const test of module.children.allTests()) {
        const { state } = test.result()
        count[state in count ? state : 'skipped']++
        if (state !== 'passed' && state !== 'failed') skips.push(`skipped: ${module.relativeModuleId} > ${test.fullName}\n`)
      }
      // a failed import or hook fails the file without failing a test
      if (module.state() === 'failed' && [...module.children.allTests('failed')].length === 0) count.failed++
    }
    const skipped = count.skipped > 0 ? `${skips.join('')}${count.skipped} skipped\n` : ''
    process.once('exit', () => process.stdout.write(`\n${skipped}${count.passed} passed, ${count.failed} failed\n`))
  }
}
