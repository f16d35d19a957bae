/**
 * How the simulation says no: a server's error code and its words, thrown by plain code and turned into a
 * `CassandraError` where the request was made.
 */
import { errors } from "cassandra-driver"

/** @internal */
export const codes = {
  serverError: 0x0000,
  unavailable: 0x1000,
  overloaded: 0x1001,
  writeTimeout: 0x1100,
  readTimeout: 0x1200,
  writeFailure: 0x1500,
  syntax: 0x2000,
  invalid: 0x2200,
  alreadyExists: 0x2400
} as const

/**
 * What a server answers instead of a result.
 *
 * @internal
 */
export class Refusal {
  readonly code: number
  readonly message: string
  readonly details: Readonly<Record<string, unknown>>
  constructor(code: number, message: string, details: Readonly<Record<string, unknown>> = {}) {
    this.code = code
    this.message = message
    this.details = details
  }
}

/** @internal */
export const invalid = (message: string): never => {
  throw new Refusal(codes.invalid, message)
}

/**
 * Everything the simulation was not taught: it refuses instead of guessing.
 *
 * @internal
 */
export const unsupported = (what: string): never => invalid(`simulation does not support: ${what}`)

/**
 * The driver's own error for a refusal, so that it is classified as the real session's are.
 *
 * @internal
 */
export const driverError = ({ code, details, message }: Refusal): Error =>
  Object.assign(new errors.ResponseError(code, message), details)
