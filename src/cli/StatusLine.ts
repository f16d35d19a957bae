/**
 * Standard error of the command: lines, and on a terminal one live line below them that lines never garble. Or, for a
 * script, nothing but JSON, an object a line.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import Process from "node:process"

/**
 * How much a line matters; as in the log.
 *
 * @category models
 * @since 0.1.0
 */
export type Level = "info" | "warn" | "error"

/**
 * A line, where JSON is spoken.
 *
 * @category models
 * @since 0.1.0
 */
export interface Entry {
  readonly type: "progress" | "log" | "message"
  /** ISO 8601. */
  readonly time: string
  readonly [field: string]: unknown
}

/**
 * @category models
 * @since 0.1.0
 */
export interface StatusLine {
  /** Whether there is a terminal that can redraw a line (and NO_COLOR does not forbid it). */
  readonly isLive: boolean
  /** How much of a line there is room for. */
  readonly columns: () => number
  /** Puts whole lines above the live one: `text`, or the entry where JSON is spoken. */
  readonly put: (text: string, entry: () => Entry) => void
  /** Says something in the name of the command, which a log file takes as well. Default level: info. */
  readonly print: (text: string, level?: Level) => void
  /** Shows the live line in place of the one before; null takes it away. Ignored when not `isLive`. */
  readonly show: (text: string | null) => void
  /** From now on each line is an object of JSON. */
  readonly speakJson: () => void
  /** Who gets what is printed as well, and null for nobody. */
  readonly mirror: (to: ((text: string, level: Level) => void) | null) => void
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
  let isJson = false
  let mirrored: ((text: string, level: Level) => void) | null = null
  // One column stays free: some terminals wrap as soon as the last one is written.
  const columns = () => Math.max(1, (stream.columns || 80) - 1)
  const fit = (text: string) => text.slice(0, columns())
  const put: StatusLine["put"] = (text, entry) => {
    const lines = isJson ? JSON.stringify(entry()) : text
    stream.write(live === null ? `${lines}\n` : `${clearLine}${lines}\n${fit(live)}`)
  }
  return {
    isLive,
    columns,
    put,
    print: (text, level = "info") => {
      put(text, () => ({ type: "message", time: new Date().toISOString(), level, message: text }))
      mirrored?.(text, level)
    },
    show: (text) => {
      if (!isLive || (text === null && live === null)) return
      live = text
      stream.write(text === null ? clearLine : clearLine + fit(text))
    },
    speakJson: () => {
      isJson = true
    },
    mirror: (to) => {
      mirrored = to
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
