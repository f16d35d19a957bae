import { assert, describe, it } from "@effect/vitest"
import * as Progress from "../../src/cli/Progress.ts"
import { makeEntries } from "../../src/cli/progressJson.ts"
import * as StatusLine from "../../src/cli/StatusLine.ts"

const at = (rowsRead: number, rowsCommitted: number, position: number | null) => ({
  rowsRead,
  rowsLogged: rowsRead,
  rowsCommitted,
  lastCheckpointId: 31,
  pendingCheckpoints: rowsRead > rowsCommitted ? 3 : 0,
  pendingRows: rowsRead - rowsCommitted,
  pendingBytes: (rowsRead - rowsCommitted) * 20,
  oldestPendingAt: rowsRead > rowsCommitted ? 12_000 : null,
  deadLetters: 0,
  deadLettersBefore: 0,
  restarts: 0,
  position,
  total: position === null ? null : 2_000_000
})

describe("progress", () => {
  it("formats a line", () => {
    const format = Progress.makeFormatter({ pendingBefore: 0, windowMillis: 5000 })
    format(at(0, 0, 0), 0)
    assert.strictEqual(
      format(at(1_240_000, 1_200_000, 1_240_000), 20_000),
      "rows 1,240,000 (62%) · logged 1,240,000 · committed 1,200,000 · 60.0k/s · checkpoint 31 (3 pending) · " +
        "lag 40,000 · eta 14 s"
    )
  })

  it("fits a terminal by leaving out whole parts, and never the end", () => {
    const long =
      "rows 50,000 (62%) · logged 50,000 · committed 48,000 · 9.8k/s · checkpoint 7 (1 pending) · lag 2,000 · eta 14 s"
    assert.strictEqual(Progress.shorten(long, 200), long)
    assert.strictEqual(
      Progress.shorten(long, 79),
      "rows 50,000 (62%) · committed 48,000 · 9.8k/s · eta 14 s"
    )
    assert.strictEqual(
      Progress.shorten(long, 90),
      "rows 50,000 (62%) · committed 48,000 · 9.8k/s · checkpoint 7 (1 pending) · eta 14 s"
    )
  })

  it("the rate is of the window, the lag counts what earlier runs left", () => {
    const format = Progress.makeFormatter({ pendingBefore: 500, windowMillis: 5000 })
    format(at(0, 0, null), 0)
    format(at(10_000, 9000, null), 1000)
    format(at(10_000, 10_000, null), 6000)
    assert.strictEqual(
      format(at(10_000, 10_000, null), 11_000),
      "rows 10,000 · logged 10,000 · committed 10,000 · 0/s · checkpoint 31 · lag 500"
    )
  })

  it("what was set aside is told, and is not waited for", () => {
    const format = Progress.makeFormatter({ pendingBefore: 0, windowMillis: 5000 })
    assert.strictEqual(
      format({ ...at(1000, 990, null), deadLetters: 13, deadLettersBefore: 3 }, 0),
      "rows 1,000 · logged 1,000 · committed 990 · 0/s · checkpoint 31 (3 pending) · lag 0 · set aside 13"
    )
  })

  it("a record that is written with several statements is as many rows", () => {
    const format = Progress.makeFormatter({ pendingBefore: 0, rowsPerRecord: 2, windowMillis: 5000 })
    format(at(0, 0, 0), 0)
    assert.strictEqual(
      format({ ...at(1000, 1500, 1_000_000), pendingCheckpoints: 1 }, 1000),
      "rows 1,000 (50%) · logged 1,000 · committed 1,500 · 1.5k/s · checkpoint 31 (1 pending) · lag 500 · eta 2 s"
    )
  })

  it("as JSON: the same numbers, whole, and null for what can't be told", () => {
    const toEntry = makeEntries({ pendingBefore: 0, windowMillis: 5000, job: "flights", uid: "sink" }, 0)
    toEntry(at(0, 0, 0), 0, false)
    assert.deepStrictEqual(toEntry(at(1_240_000, 1_200_000, 1_240_000), 20_000, false), {
      type: "progress",
      time: "1970-01-01T00:00:20.000Z",
      jobId: "flights",
      uid: "sink",
      seconds: 20,
      rows: 1_240_000,
      logged: 1_240_000,
      committed: 1_200_000,
      rowsPerSecond: 60_000,
      lag: 40_000,
      checkpoint: 31,
      pendingCheckpoints: 3,
      pendingRows: 40_000,
      pendingBytes: 800_000,
      oldestPendingSeconds: 8,
      deadLetters: 0,
      restarts: 0,
      position: 1_240_000,
      total: 2_000_000,
      etaSeconds: 14,
      last: false
    })
    const { etaSeconds, last, oldestPendingSeconds, total } = toEntry(at(1_240_000, 1_240_000, null), 21_000, true)
    assert.deepStrictEqual([etaSeconds, last, oldestPendingSeconds, total], [null, true, null, null])
  })

  it("formats rates and times", () => {
    assert.deepStrictEqual([0, 820, 999.6, 48_240, 999_999].map(Progress.formatRate), [
      "0/s",
      "820/s",
      "1.0k/s",
      "48.2k/s",
      "1.0M/s"
    ])
    assert.deepStrictEqual([0, 13.2, 190, 7500].map(Progress.formatTime), ["0 s", "14 s", "3 min 10 s", "2 h 5 min"])
  })
})

describe("status line", () => {
  const open = (stream: { readonly isTTY?: boolean; readonly columns?: number }, environment = {}) => {
    const written: Array<string> = []
    const line = StatusLine.make({ ...stream, write: (text) => written.push(text) }, environment)
    return { line, written }
  }

  it("takes the live line away before a line is printed, and shows it again", () => {
    const { line, written } = open({ isTTY: true, columns: 10 })
    line.show("0123456789abc")
    line.print("log")
    line.show(null)
    line.print("end")
    assert.deepStrictEqual(written, ["\r\u001b[2K012345678", "\r\u001b[2Klog\n012345678", "\r\u001b[2K", "end\n"])
  })

  it("where JSON is spoken, each line is an object, whatever is in it", () => {
    const { line, written } = open({})
    line.speakJson()
    line.print("error: first\nsecond \"x\"", "error")
    line.put("text", () => ({ type: "log", time: "t", message: "m" }))
    const [first, second] = written.map((text) => {
      assert.match(text, /^[^\n]*\n$/)
      return JSON.parse(text)
    })
    assert.deepStrictEqual([first.type, first.level, first.message], ["message", "error", "error: first\nsecond \"x\""])
    assert.deepStrictEqual(second, { type: "log", time: "t", message: "m" })
  })

  it("what is said goes to a mirror as well, what is put does not", () => {
    const { line, written } = open({})
    const seen: Array<string> = []
    line.mirror((text, level) => seen.push(`${level} ${text}`))
    line.print("a")
    line.put("b", () => ({ type: "log", time: "t" }))
    line.print("c", "warn")
    line.mirror(null)
    line.print("d")
    assert.deepStrictEqual(seen, ["info a", "warn c"])
    assert.deepStrictEqual(written, ["a\n", "b\n", "c\n", "d\n"])
  })

  it("is never live without a terminal, with NO_COLOR, or on a dumb one", () => {
    for (
      const { line, written } of [
        open({}),
        open({ isTTY: true }, { NO_COLOR: "1" }),
        open({ isTTY: true }, { TERM: "dumb" })
      ]
    ) {
      line.show("x")
      assert.isFalse(line.isLive)
      assert.deepStrictEqual(written, [])
    }
  })
})
