/**
 * Standard error of the command: lines, and on a terminal one live line below them that lines never garble.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import Process from "node:process"

/**
 * @category models
 * @since 0.1.0
 */
export interface StatusLine {
  /** Whether there is a terminal that can redraw a line (and NO_COLOR does not forbid it). */
  readonly isLive: boolean
  /** How much of a line there is room for. */
  readonly columns: () => number
  /** Prints whole lines above the live one. */
  readonly print: (text: string) => void
  /** Shows the live line in place of the one before; null takes it away. Ignored when not `isLive`. */
  readonly show: (text: string | null) => void
}

const clearLine = "\r\u001b[2K"

/**
 * Over any stream that looks like `process.stderr`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  stream: {
    readonly isTTY?: boolean | undefined
    readonly columns?: number | undefined
    readonly write: (text: string) => unknown
  },
  environment: { readonly [name: string]: string | undefined }
): StatusLine => {
  const isLive = stream.isTTY === true && environment["TERM"] !== "dumb" && !environment["NO_COLOR"]
  let live: string | null = null
  // One column stays free: some terminals wrap as soon as the last one is written.
  const columns = () => Math.max(1, (stream.columns || 80) - 1)
  const fit = (text: string) => text.slice(0, columns())
  return {
    isLive,
    columns,
    print: (text) => {
      stream.write(live === null ? `${text}\n` : `${clearLine}${text}\n${fit(live)}`)
    },
    show: (text) => {
      if (!isLive || (text === null && live === null)) return
      live = text
      stream.write(text === null ? clearLine : clearLine + fit(text))
    }
  }
}

/**
 * The status line of this process, shared by the logger and the progress.
 *
 * @category references
 * @since 0.1.0
 */
export const StatusLine = Context.Reference<StatusLine>("effect-cassandra/cli/StatusLine", {
  defaultValue: () => make(Process.stderr, Process.env)
})
