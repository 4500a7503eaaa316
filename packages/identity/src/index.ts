/**
 * Who is who: cards, key statements, pinned trust, safety numbers, contact links and relays' keys. Pure functions over
 * plain data; nothing here stores or fetches.
 * @module
 */
export {
  activeDevices,
  type Card,
  type CardCode,
  type CardDevice,
  cardBytesMax,
  cardType,
  deviceOn,
  type ReadCard,
  type RemovalReason,
  readCard,
  signCard,
} from './card.ts'
export {
  type Acceptance,
  acceptCards,
  decideHeld,
  type Held,
  type HeldCode,
  type Pin,
  type RefusedCode,
  successorProblem,
} from './chain.ts'
export { type DomainKeys, domainKeysPath, encodeDomainKeys, readDomainKeys } from './domain-keys.ts'
export { IdentityError, type IdentityErrorCode } from './errors.ts'
export { formatInviteLink, type InviteLink, parseInviteLink } from './invite-link.ts'
export { type ContactLink, formatContactLink, parseContactLink } from './link.ts'
export { type SafetyParty, safetyNumber } from './safety-number.ts'
export {
  agreementKid,
  readStatement,
  type Statement,
  type StatementCode,
  signStatement,
  statementsInForce,
  statementType,
} from './statement.ts'
