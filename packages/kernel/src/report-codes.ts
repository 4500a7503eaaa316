/**
 * What of a refused step the other side is told: every problem of the kernel as a code of the wire, or as nothing. The spec
 * page of problem-report shows this table.
 * @module
 */
import type { ProblemCode } from './errors.ts'

/** Codes of problem reports: few, stable, and silent about what runs here. */
export const reportCodes = ['protocol-unknown', 'message-invalid', 'thread-unknown', 'limit-exceeded', 'internal'] as const
/** A code of a problem report. */
export type ReportCode = (typeof reportCodes)[number]

/** Problems that only a caller on this side can cause never leave. */
const reported: Readonly<Record<ProblemCode, ReportCode | undefined>> = {
  'message-unknown': 'protocol-unknown',
  'body-invalid': 'message-invalid',
  'body-too-large': 'message-invalid',
  'thread-unknown': 'thread-unknown',
  'thread-expired': 'limit-exceeded',
  'thread-messages-exceeded': 'limit-exceeded',
  'schema-asynchronous': 'internal',
  'version-unknown': 'internal',
  'state-unknown': 'internal',
  'role-unknown': 'internal',
  'migration-failed': 'internal',
  'machine-failed': 'internal',
  'microsteps-exceeded': 'internal',
  'state-not-json': 'internal',
  'state-too-large': 'internal',
  'effect-invalid': 'internal',
  'effects-exceeded': 'internal',
  'deadlines-exceeded': 'internal',
  'calls-exceeded': 'internal',
  'thread-foreign': undefined,
  'thread-exists': undefined,
  'thread-ended': undefined,
}

/** What a peer is told of a problem; `undefined` when it is told nothing. */
export function reportCode(problem: ProblemCode): ReportCode | undefined {
  return reported[problem]
}
