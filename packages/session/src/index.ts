/**
 * The life of Session Master Keys: renewal, what goes ahead, key bodies, dial-back requests, answers and candidates.
 * State in, state out; nothing here stores, sends or encrypts.
 * @module
 */
export {
  type AnswerLog,
  answerRequest,
  type Decision,
  type ErasedSession,
  emptyAnswerLog,
  eraseSession,
  type RefusalCode,
  type Requester,
} from './answer.ts'
export { type AnswerCode, readKeyAnswer, readRefusal } from './answer-body.ts'
export { confirmKey, type HeldSession, heldErasureDue, type TakeOutcome, takeKey } from './held.ts'
export { type KeyBodyCode, keyBody, keyType, readKeyBody } from './key-body.ts'
export { checkSessionLimits, type SessionLimits, sessionLimits } from './limits.ts'
export {
  type Audience,
  type AudienceDevice,
  type OwnSession,
  ownErasureDue,
  planSend,
  prepareAudience,
  type RenewalReason,
  retire,
  type SendPlan,
  type Waiting,
} from './plan.ts'
export {
  createRequest,
  ephThumbprint,
  type KeyRequest,
  keyAnswerType,
  keyRefusalType,
  keyRequestType,
  type ReceivedRequest,
  type RequestTarget,
  readRequest,
  requestBody,
  requestDelayMs,
  requestTargets,
} from './request.ts'
export {
  type AudienceMember,
  checkReader,
  checkUnder,
  coversTime,
  createSmk,
  erasureDue,
  type Owner,
  type Reader,
  type Smk,
  sessionKey,
  type UnderCode,
} from './smk.ts'
