import { mkdtempSync, readFileSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { base64url, utf8 } from '@parley/core'
import { describe, expect, it } from 'vitest'
import { describeFrame, openTrace } from '../src/trace.ts'

const frame = utf8('{"t":"stanza","entries":[["*",3]]}\nabcdefgh')

describe('the trace of the wire', () => {
  it('tells header, sizes and first octets', () => {
    expect(describeFrame(frame, 4)).toEqual({
      bytes: frame.length,
      header: { t: 'stanza', entries: [['*', 3]] },
      payload_bytes: 8,
      payload: base64url(utf8('abcd')),
      body_bytes: 5,
      body: base64url(utf8('defg')),
    })
    expect(describeFrame(frame, 0)).toMatchObject({ payload: base64url(utf8('abcdefgh')), body: base64url(utf8('defgh')) })
  })

  it('tells of what is no frame what it can', () => {
    expect(describeFrame(utf8('noise'), 2)).toEqual({ bytes: 5, header: null, payload_bytes: 5, payload: base64url(utf8('no')) })
    expect(describeFrame(utf8('[\n'), 2)).toMatchObject({ header: null, payload_bytes: 0 })
    expect(describeFrame(utf8('{"entries":[1,["*"]]}\nab'), 0)).toMatchObject({ body_bytes: 2 })
  })

  it('writes one line per frame into a private file, until it is closed', () => {
    const file = join(mkdtempSync(join(tmpdir(), 'parley-trace-')), 'wire.jsonl')
    const trace = openTrace(file, { octets: 48, now: () => 7 })
    trace.onWire('in', frame, { kind: 'device', name: 'alice@a.localhost/x' })
    trace.onWire('out', frame, { kind: 'relay', name: 'b.localhost' })
    trace.close()
    trace.onWire('in', frame, { kind: 'relay', name: 'b.localhost' })
    const lines = readFileSync(file, 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(lines).toMatchObject([
      { at: 7, direction: 'in', kind: 'device', name: 'alice@a.localhost/x', header: { t: 'stanza' } },
      { direction: 'out', kind: 'relay' },
    ])
    expect(lines).toHaveLength(2)
    expect(statSync(file).mode & 0o777).toBe(0o600)
  })
})
