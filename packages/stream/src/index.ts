/**
 * The language of one hop: frames, handshake, acknowledgement and resume, for both ends and both hops, without I/O (design §5).
 * @module
 */
export { accountRemovalType, provesAccountRemoval, signAccountRemoval } from './account-removal.ts'
export { bounceType, signBounce, verifyBounce } from './bounce.ts'
export {
  type C2sClient,
  type C2sClientOptions,
  type C2sEvent,
  type C2sOutput,
  createC2sClient,
  type IncomingStanza,
  type OutgoingStanza,
} from './c2s-client.ts'
export {
  type Admission,
  type C2sServer,
  type C2sServerEvent,
  type C2sServerOptions,
  type C2sServerOutput,
  createC2sServer,
  type Registering,
} from './c2s-server.ts'
export { type BounceCode, bounceCodes, type RequestCode, requestCodes, type StreamCode, streamCodes } from './codes.ts'
export {
  type AckFrame,
  type Bounce,
  type CardVersions,
  type Frame,
  type FrameCode,
  type Place,
  readFrame,
  type StanzaClass,
  type StanzaEntry,
  type StanzaFrame,
  type StanzaHeader,
  writeFrame,
} from './frame.ts'
export { type StreamLimits, streamLimits } from './limits.ts'
export {
  type Login,
  loginType,
  type MailboxMark,
  readLogin,
  readWelcome,
  signLogin,
  signWelcome,
  verifyLogin,
  type Welcome,
  welcomeType,
} from './login.ts'
export { type Post, packPost, postPath, postType, provesPost, readPost } from './post.ts'
export { makeNonce, relayUri } from './proof.ts'
export { createReceiver, type Receiver, type Settlement } from './receiver.ts'
export { readSuccessions, relayKeyType, type Succession, signSuccession, successionsMax } from './relay-key-succession.ts'
export {
  createS2sAcceptor,
  type S2sAcceptor,
  type S2sAcceptorEvent,
  type S2sAcceptorOptions,
  type S2sAcceptorOutput,
} from './s2s-acceptor.ts'
export {
  createS2sInitiator,
  type S2sInitiator,
  type S2sInitiatorEvent,
  type S2sInitiatorOptions,
  type S2sInitiatorOutput,
} from './s2s-initiator.ts'
export { readS2s, type S2sClaim, type S2sDirection, s2sType, signS2s, verifyS2s } from './s2s-proof.ts'
export { type AckResult, createSender, type Sender, type SenderOptions, sizeOf } from './sender.ts'
export { packEntries, packHeader, type StoredStanza, unpackFrame, unpackHeader } from './stored.ts'
export { c2sProtocol, s2sProtocol } from './versions.ts'
