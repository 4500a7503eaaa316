// A reporter that prints what the simulations of a run found, one line per property; the rows come from test/sim/property.ts.
export default class SimulationTable {
  onTestRunEnd(modules) {
    const rows = modules.flatMap((module) => [...module.children.allTests()].flatMap((test) => test.meta().simulation ?? []))
    if (rows.length === 0) return
    const sum = (of) => rows.reduce((total, row) => total + of(row), 0)
    const kinds = (faults) =>
      Object.entries(faults)
        .map(([kind, count]) => `${kind} ${count}`)
        .join(', ')
    const lines = [
      ['property', 'seeds', 'messages', 'violations', 'faults injected'],
      ...rows.map((row) => [row.property, row.seeds, row.messages, row.violations, kinds(row.faults)]),
      ['all', sum((row) => row.seeds), sum((row) => row.messages), sum((row) => row.violations), ''],
    ]
    const widths = [0, 1, 2, 3].map((column) => Math.max(...lines.map((line) => String(line[column]).length)))
    const padded = lines.map(([name, ...rest]) =>
      [name.padEnd(widths[0]), ...rest.map((cell, i) => (i < 3 ? String(cell).padStart(widths[i + 1]) : cell))]
        .join('  ')
        .trimEnd(),
    )
    process.stdout.write(`\n${padded.join('\n')}\n`)
  }
}
