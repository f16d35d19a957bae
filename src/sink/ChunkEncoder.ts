/**
 * Chunks of elements as frames of the log, for one subtask or several: a block at a time, so that the buffers of blocks that
 * are written come back for those of the same chunk that are not yet made, however large its rows are.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type { Element } from "../checkpoint/Element.ts"
import { FrameBuffers } from "../state/FrameBuffers.ts"
import { FrameWriter } from "../state/RowFrame.ts"
import { WireBuffer } from "../wire/WireBuffer.ts"
import { partitionHash } from "../wire/WireValues.ts"
import { TooManyBadRecords } from "./DeadLetters.ts"
import * as RowEncoder from "./RowEncoder.ts"
import { RecordRefused } from "./SinkError.ts"
import type { EncodedElement, OpenSink } from "./Subtask.ts"

/**
 * What there is for each subtask. All rows of one partition go to the same one, in order; a barrier goes to all.
 *
 * @category models
 * @since 0.1.0
 */
export type Parts = ReadonlyArray<ReadonlyArray<EncodedElement>>

/**
 * Encodes one chunk after another.
 *
 * @category models
 * @since 0.1.0
 */
export interface ChunkEncoder<A> {
  /**
   * Hands all of a chunk to `emit`, some blocks at a time. A record that does not fit is a `RecordRefused`; blocks before it
   * may have been handed on, and no barrier behind them.
   */
  readonly encode: <E, R>(
    elements: ReadonlyArray<Element<A>>,
    emit: (parts: Parts) => Effect.Effect<unknown, E, R>
  ) => Effect.Effect<void, E | RecordRefused | TooManyBadRecords, R>
}

/** Bytes after which rows are handed on, though their chunk goes on: buffers stay small, whatever is in a row. */
const blockBytes = 256 * 1024

/**
 * For `parallelism` subtasks.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = <A>(sink: OpenSink<A>, parallelism: number): ChunkEncoder<A> => {
  const encodeFrom = stepwise(sink, parallelism)
  return {
    encode: <E, R>(elements: ReadonlyArray<Element<A>>, emit: (parts: Parts) => Effect.Effect<unknown, E, R>) =>
      Effect.suspend(() => {
        let next = 0
        return Effect.whileLoop({
          while: () => next < elements.length,
          body: (): Effect.Effect<unknown, E | RecordRefused | TooManyBadRecords, R> => {
            try {
              const step = encodeFrom(elements, next)
              next = step.next
              return emit(step.parts)
            } catch (error) {
              return error instanceof RecordRefused || error instanceof TooManyBadRecords
                ? Effect.fail(error)
                : Effect.die(error)
            }
          },
          step: () => {}
        })
      })
  }
}

/** The elements from an index on, up to the first full block or the end, and the index of the next. */
const stepwise = <A>(
  sink: OpenSink<A>,
  parallelism: number
): (elements: ReadonlyArray<Element<A>>, from: number) => { readonly parts: Parts; readonly next: number } => {
  const buffers = new FrameBuffers(parallelism)
  const writers = Array.from({ length: parallelism }, () => new FrameWriter(buffers))
  const scratch = new WireBuffer(1024)
  const { locate, routes, setAside, statementOf, statements, timestampOf, write } = sink
  const { params, partitionKeys } = statements[0]!
  const valueCount = params.length
  return (elements, from) => {
    const parts = writers.map((): Array<EncodedElement> => [])
    const step = { isFull: false }
    const take = (subtask: number) => {
      if (writers[subtask]!.rows > 0) parts[subtask]!.push(writers[subtask]!.take())
    }
    const takeFull = (subtask: number) => {
      if (writers[subtask]!.bytes < blockBytes) return
      take(subtask)
      step.isFull = true
    }
    let i = from
    for (; i < elements.length && !step.isFull; i++) {
      const element = elements[i]!
      if (element._tag === "Barrier") {
        for (let subtask = 0; subtask < parallelism; subtask++) take(subtask)
        for (const part of parts) part.push(element)
        continue
      }
      const { place } = element
      const timestamp = timestampOf?.(place) ?? 0
      setAside?.seen()
      let subtask = 0
      try {
        if (element._tag === "BadRecord") {
          if (setAside === null) throw new RowEncoder.Misfit("", element.problem)
          setAside.unreadable(element, writers[0]!, timestamp)
        } else if (routes !== null) {
          const count = routes.stage(element.value, statementOf?.(place) ?? null)
          for (let row = 0; row < count; row++) {
            const { hash, statement, values } = routes.rows[row]!
            subtask = hash % parallelism
            // Two rows of one cell with the same timestamp would have the greater value win, not the later one.
            const own = timestamp === 0 ? 0 : timestamp + row
            writers[subtask]!.addWritten(place, statement, statements[statement]!.params.length, values, own)
            takeFull(subtask)
          }
        } else if (parallelism === 1) {
          writers[0]!.addWith(place, 0, valueCount, element.value, write, timestamp)
        } else {
          scratch.length = 0
          write(element.value, scratch)
          subtask = partitionHash(scratch.bytes, 0, partitionKeys) % parallelism
          writers[subtask]!.addWritten(place, 0, valueCount, scratch, timestamp)
        }
      } catch (error) {
        if (setAside === null || !(error instanceof RowEncoder.Misfit) || element._tag !== "Record") {
          throw refused(error, place, locate)
        }
        subtask = 0
        setAside.misfit(element.value, place, error, writers[0]!, timestamp)
      }
      takeFull(subtask)
    }
    if (i === elements.length) { for (let subtask = 0; subtask < parallelism; subtask++) take(subtask) }
    return { parts, next: i }
  }
}

const refused = <A>(error: unknown, at: number, locate: OpenSink<A>["locate"]): unknown =>
  error instanceof RowEncoder.Misfit
    ? new RecordRefused({ ...locate(at), column: error.column, problem: error.problem })
    : error
