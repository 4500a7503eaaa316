/**
 * Schemas by hand, so that the kernel's tests rest on no library: whatever speaks Standard Schema will do.
 * @module
 */
import type { StandardSchemaV1 } from '@standard-schema/spec'

export type Members = { readonly [name: string]: 'string' | 'number' }
type Of<M extends Members> = { readonly [N in keyof M]: M[N] extends 'string' ? string : number }

/** An object with exactly these members. */
export function object<const M extends Members>(members: M): StandardSchemaV1<Of<M>, Of<M>> {
  return schema((value) => {
    if (typeof value !== 'object' || value === null || Object.keys(value).length !== Object.keys(members).length) return undefined
    const fits = Object.entries(members).every(([name, type]) => typeof (value as Record<string, unknown>)[name] === type)
    return fits ? (value as Of<M>) : undefined
  })
}

/** A schema out of a function that answers `undefined` for what it refuses. */
export function schema<Input, Output = Input>(read: (value: unknown) => Output | undefined): StandardSchemaV1<Input, Output> {
  return {
    '~standard': {
      version: 1,
      vendor: 'test',
      validate(value) {
        const output = read(value)
        return output === undefined ? { issues: [{ message: 'refused' }] } : { value: output }
      },
    },
  }
}

/** A schema that answers with a Promise. */
export function asynchronous(answer: () => Promise<{ value: object }>): StandardSchemaV1<object, object> {
  return { '~standard': { version: 1, vendor: 'test', validate: answer } }
}
