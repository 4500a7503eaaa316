import { AgentError, type AgentErrorCode } from '@parley/agent'
import { CoreError } from '@parley/core'
import { describe, expect, test } from 'vitest'
import { CommandFailed, exitCodes, explain } from '../src/exit.ts'

const codeOf = (error: unknown): number => explain(error).exitCode

describe('the exit code', () => {
  test.each<[AgentErrorCode, number]>([
    ['ERR_AGENT_PROFILE_IN_USE', 73],
    ['ERR_AGENT_TRUST_HELD', 76],
    ['ERR_AGENT_DEVICE_LINE_MALFORMED', 2],
    ['ERR_AGENT_PROFILE_ABSENT', 1],
    ['ERR_AGENT_STORE_NEWER', 1],
    ['ERR_AGENT_PROFILE_DAMAGED', 1],
    ['ERR_AGENT_SEND_FAILED', 1],
    ['ERR_AGENT_OUTBOX_FULL', 1],
  ])('of %s is %i', (code, exitCode) => {
    expect(codeOf(new AgentError(code, 'x'))).toBe(exitCode)
  })

  test('is usage for what was typed wrong', () => {
    expect(codeOf(new CoreError('ERR_CORE_ADDRESS_MALFORMED', 'x'))).toBe(exitCodes.usage)
    expect(codeOf(new TypeError('relay: must be a URL'))).toBe(exitCodes.usage)
    expect(codeOf(new RangeError('x'))).toBe(exitCodes.usage)
  })

  test('is what the command says', () => {
    expect(explain(new CommandFailed(exitCodes.queued, 'kept'))).toEqual({ exitCode: 75, line: 'kept' })
  })

  test('is 1 for everything else, whatever was thrown', () => {
    expect(explain(new Error('no'))).toEqual({ exitCode: 1, line: 'no' })
    expect(explain('no')).toEqual({ exitCode: 1, line: 'no' })
    expect(explain(undefined)).toEqual({ exitCode: 1, line: 'undefined' })
  })
})

test('the line names the code, for a search in docs/errors.md', () => {
  expect(explain(new AgentError('ERR_AGENT_PROFILE_IN_USE', 'another process has this profile open')).line).toBe(
    'another process has this profile open (ERR_AGENT_PROFILE_IN_USE)',
  )
})
