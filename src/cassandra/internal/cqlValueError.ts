/**
 * The refusal of one value. It is thrown once per bad row on the way of every row, so it captures no stack: the class
 * stands below `Error` without ever running its constructor.
 */

const limit = 60

const shorten = (text: string): string => text.length > limit ? `${text.slice(0, limit - 3)}...` : text

/** A value as an error may show it, at most 60 characters. */
const render = (value: unknown): string => {
  switch (typeof value) {
    case "string":
      return shorten(JSON.stringify(value.slice(0, limit)))
    case "bigint":
      return shorten(`${value}n`)
    case "object": {
      if (value === null) return "null"
      if (value instanceof Date) return Number.isNaN(value.getTime()) ? "an invalid Date" : value.toISOString()
      if (value instanceof Uint8Array) return `${value.length} bytes`
      const name: string = value.constructor?.name ?? "Object"
      if (value instanceof Map || value instanceof Set) return `a ${name} of ${value.size}`
      if (!Array.isArray(value) && name !== "Object") return shorten(`a ${name}`)
      try {
        return shorten(
          JSON.stringify(value, (_, part: unknown) => typeof part === "bigint" ? `${part}n` : part) ?? name
        )
      } catch {
        return `a ${name}`
      }
    }
    case "function":
      return "a function"
    default:
      return shorten(String(value))
  }
}

/**
 * A value that a CQL type does not hold, or not without loss. `expected` is the type, `got` the value (shortened to 60
 * characters), `why` what is wrong with it. `path` leads to it inside a collection (`[2].street`), empty otherwise.
 *
 * An `Error` without a stack. The caller knows column, row and place and adds them.
 *
 * @category errors
 * @since 0.1.0
 */
export class CqlValueError {
  readonly _tag = "CqlValueError"
  readonly name = "CqlValueError"
  readonly expected: string
  readonly got: string
  readonly why: string
  readonly path: string
  constructor(expected: string, value: unknown, why: string) {
    this.expected = expected
    this.got = render(value)
    this.why = why
    this.path = ""
  }
  get message(): string {
    return `${this.path === "" ? "" : `at ${this.path}: `}expected ${this.expected}, got ${this.got}: ${this.why}`
  }
  get stack(): string {
    return `${this.name}: ${this.message}`
  }
  /** As `stack`. */
  toString(): string {
    return this.stack
  }
}

Object.setPrototypeOf(CqlValueError.prototype, Error.prototype)

/**
 * Runs `encode` for the part of a value that `step` names, so that a refusal inside says where.
 *
 * @internal
 */
export const within = <A>(step: string | number, encode: (value: unknown) => A, value: unknown): A => {
  try {
    return encode(value)
  } catch (error) {
    if (error instanceof CqlValueError) {
      const prefix = typeof step === "number" ? `[${step}]` : step
      ;(error as { path: string }).path = prefix + error.path
    }
    throw error
  }
}
