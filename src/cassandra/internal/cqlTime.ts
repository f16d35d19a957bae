/**
 * The encoders of CQL's types of time. Text without a zone is UTC, and nothing is rounded: what a type does not hold is
 * refused.
 */
import { types } from "cassandra-driver"
import { integer64, isDigits } from "./cqlIntegers.ts"
import { CqlValueError } from "./cqlValueError.ts"

const dayMillis = 86_400_000

/** Milliseconds of midnight UTC, NaN if the calendar has no such day. `Date.UTC` takes years below 100 for 19xx. */
const midnight = (year: number, month: number, day: number): number => {
  const date = new Date(0)
  const millis = date.setUTCFullYear(year, month - 1, day)
  return date.getUTCMonth() === month - 1 && date.getUTCDate() === day ? millis : Number.NaN
}

const zoned =
  /^([+-]\d{6}|\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d+))?)?)? ?(?:(Z|UTC|GMT)|([+-])(\d\d)(?::?(\d\d))?)?$/i

const noInstant = "it is no date such as 2011-02-03, 2011-02-03T04:05:06.789Z or 2011-02-03 04:05:06+0000"

const parseInstant = (text: string): number => {
  const match = zoned.exec(text)
  if (match === null) throw new CqlValueError("timestamp", text, noInstant)
  const hour = Number(match[4] ?? 0)
  const minute = Number(match[5] ?? 0)
  const second = Number(match[6] ?? 0)
  const fraction = match[7] ?? ""
  const zoneHour = Number(match[10] ?? 0)
  const zoneMinute = Number(match[11] ?? 0)
  let millis = midnight(Number(match[1]), Number(match[2]), Number(match[3]))
  if (Number.isNaN(millis) || hour > 23 || minute > 59 || second > 59 || zoneHour > 18 || zoneMinute > 59) {
    throw new CqlValueError("timestamp", text, "no calendar or clock shows it")
  }
  if (fraction.length > 3 && !/^0*$/.test(fraction.slice(3))) {
    throw new CqlValueError("timestamp", text, "a timestamp holds milliseconds, and this has more digits than that")
  }
  millis += ((hour * 60 + minute) * 60 + second) * 1000 + Number(fraction.slice(0, 3).padEnd(3, "0"))
  const zone = (zoneHour * 60 + zoneMinute) * 60_000
  return match[9] === "-" ? millis + zone : millis - zone
}

const timestamp64 = integer64("timestamp")

/** @internal */
export const timestamp = (value: unknown): Buffer => {
  if (value instanceof Date) {
    const millis = value.getTime()
    if (Number.isNaN(millis)) throw new CqlValueError("timestamp", value, "it is an invalid Date")
    return timestamp64(millis)
  }
  if (typeof value === "string" && !isDigits(value)) return timestamp64(parseInstant(value))
  return timestamp64(value)
}

const day = /^([+-]?\d{4,7})-(\d\d)-(\d\d)$/

/** The server counts days from 2^31 below the epoch. */
const dayBuffer = (days: number): Buffer => {
  const buffer = Buffer.allocUnsafe(4)
  buffer.writeUInt32BE(days + 0x80000000, 0)
  return buffer
}

/** @internal */
export const date = (value: unknown): Buffer => {
  if (typeof value === "string") {
    const match = day.exec(value)
    if (match === null) throw new CqlValueError("date", value, "it is no date such as 2011-02-03")
    const millis = midnight(Number(match[1]), Number(match[2]), Number(match[3]))
    if (Number.isNaN(millis)) throw new CqlValueError("date", value, "the calendar has no such day")
    return dayBuffer(millis / dayMillis)
  }
  if (value instanceof Date) {
    const days = value.getTime() / dayMillis
    if (!Number.isInteger(days)) {
      throw new CqlValueError(
        "date",
        value,
        Number.isNaN(days)
          ? "it is an invalid Date"
          : "it is not midnight UTC, so its day depends on a time zone; give the day as text"
      )
    }
    return dayBuffer(days)
  }
  if (value instanceof types.LocalDate) return value.toBuffer()
  throw new CqlValueError("date", value, "give text such as 2011-02-03, a Date at midnight UTC or a LocalDate")
}

const clock = /^(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?$/
const dayNanos = 86_400_000_000_000
const time64 = integer64("time")

const nanosOf = (text: string): number => {
  const match = clock.exec(text)
  if (match === null) {
    throw new CqlValueError("time", text, "it is no time such as 13:30:54.234 with at most nine digits of fraction")
  }
  const hour = Number(match[1])
  const minute = Number(match[2])
  const second = Number(match[3])
  if (hour > 23 || minute > 59 || second > 59) throw new CqlValueError("time", text, "no clock shows it")
  return ((hour * 60 + minute) * 60 + second) * 1e9 + Number((match[4] ?? "").padEnd(9, "0"))
}

/** @internal */
export const time = (value: unknown): Buffer => {
  if (typeof value === "string" && !isDigits(value)) return time64(nanosOf(value))
  if (value instanceof types.LocalTime) return value.toBuffer()
  const buffer = time64(value)
  const nanos = buffer.readBigInt64BE(0)
  if (nanos < 0 || nanos >= dayNanos) {
    throw new CqlValueError("time", value, "a time is 0 to 86399999999999 nanoseconds after midnight")
  }
  return buffer
}

const standardDuration = /^-?(?:\d+(?:y|mo|w|d|h|m|s|ms|us|\u00b5s|ns))+$/i
const isoDuration =
  /^-?P(?:\d+W|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d|(?=.)(?:\d+Y)?(?:\d+M)?(?:\d+D)?(?:T(?=.)(?:\d+H)?(?:\d+M)?(?:\d+S)?)?)$/

/** @internal */
export const duration = (value: unknown): Buffer => {
  if (value instanceof types.Duration) return value.toBuffer()
  if (typeof value !== "string") {
    throw new CqlValueError("duration", value, "give text such as 1y2mo3d4h5m6s, P1Y2M3DT4H5M6S or a driver Duration")
  }
  // The driver's own reading skips over what it does not know, so the form is checked first.
  if (!standardDuration.test(value) && !isoDuration.test(value)) {
    throw new CqlValueError("duration", value, "it is no duration such as 1y2mo3d4h5m6s or P1Y2M3DT4H5M6S")
  }
  try {
    return types.Duration.fromString(value).toBuffer()
  } catch (error) {
    throw new CqlValueError("duration", value, error instanceof Error ? error.message : String(error))
  }
}
