import { assert, describe, it } from "@effect/vitest"
import { errors } from "cassandra-driver"
import { Effect } from "effect"
import * as CassandraError from "../../src/cassandra/CassandraError.ts"

const response = (code: number, message: string, extra: object = {}) =>
  Object.assign(new errors.ResponseError(code, message), extra)

const socketLost = (requestNotWritten: boolean) =>
  Object.assign(new errors.DriverInternalError("Socket was closed"), {
    name: "DriverError",
    isSocketError: true,
    requestNotWritten,
    innerError: Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET" })
  })

const refused = Object.assign(new Error("connect ECONNREFUSED 127.0.0.1:1"), { code: "ECONNREFUSED" })
const coded = (code: string, message: string) => Object.assign(new Error(message), { code })
const counts = { consistencies: 6, received: 1, blockFor: 2, failures: 1, writeType: "SIMPLE" }
const noHost = (inner: Record<string, unknown>) => new errors.NoHostAvailableError(inner)

/** cause, tag, isRetryable, mayHaveBeenApplied, words of the message */
const table: ReadonlyArray<readonly [string, unknown, string, boolean, boolean, ReadonlyArray<string>]> = [
  ["0x0000", response(0x0000, "NullPointerException"), "ServerError", true, true, ["NullPointerException"]],
  ["0x000a", response(0x000a, "bad frame"), "ProtocolError", false, false, ["bad frame"]],
  ["0x0100", response(0x0100, "wrong password"), "Authentication", false, false, ["username"]],
  ["0x1000", response(0x1000, "", { consistencies: 6, required: 2, alive: 1 }), "Unavailable", true, false, [
    "LOCAL_QUORUM",
    "2 required",
    "1 alive"
  ]],
  ["0x1001", response(0x1001, "overloaded"), "Overloaded", true, false, ["overloaded"]],
  ["0x1002", response(0x1002, "joining"), "Bootstrapping", true, false, ["joining"]],
  ["0x1003", response(0x1003, "node down"), "Truncate", true, true, ["TRUNCATE"]],
  ["0x1100", response(0x1100, "", counts), "WriteTimeout", true, true, ["LOCAL_QUORUM", "1 of 2", "SIMPLE"]],
  ["0x1200", response(0x1200, "", counts), "ReadTimeout", true, false, ["1 of 2"]],
  ["0x1300", response(0x1300, "", counts), "ReadFailure", false, false, ["tombstones"]],
  ["0x1400", response(0x1400, "function broke"), "InvalidQuery", false, false, ["function broke"]],
  ["0x1500", response(0x1500, "", counts), "WriteFailure", true, true, ["1 of 2"]],
  ["0x1600", response(0x1600, "", counts), "WriteFailure", true, true, []],
  ["0x1700", response(0x1700, "", counts), "WriteTimeout", true, true, []],
  ["0x2000", response(0x2000, "line 1:0 no viable"), "Syntax", false, false, ["line 1:0"]],
  ["0x2100", response(0x2100, "no MODIFY"), "Authorization", false, false, ["GRANT"]],
  ...([
    ["MODIFY", "<table demo.T>", `GRANT MODIFY ON TABLE demo."T" TO "Mr X"`],
    ["CREATE", "<all tables in demo>", `GRANT CREATE ON KEYSPACE demo TO "Mr X"`],
    ["ALTER", "<keyspace Demo>", `GRANT ALTER ON KEYSPACE "Demo" TO "Mr X"`],
    ["CREATE", "<all keyspaces>", `GRANT CREATE ON ALL KEYSPACES TO "Mr X"`]
  ] as const).map(([permission, on, grant]) =>
    [
      `${permission} ${on}`,
      response(0x2100, `User Mr X has no ${permission} permission on ${on} or any of its parents`),
      "Authorization",
      false,
      false,
      [grant]
    ] as const
  ),
  ["0x2200", response(0x2200, "table x does not exist"), "InvalidQuery", false, false, ["table x"]],
  ["0x2300", response(0x2300, "replication"), "Config", false, false, ["replication"]],
  ["0x2400", response(0x2400, "", { keyspace: "k", table: "t" }), "AlreadyExists", false, false, ["Table k.t"]],
  ["0x2500", response(0x2500, "id"), "Unprepared", true, false, ["prepared"]],
  ["0x7777", response(0x7777, "news"), "Unknown", false, true, ["0x7777", "news"]],
  ["client timeout", new errors.OperationTimedOutError("x", "10.0.0.1:9042"), "ClientTimeout", true, true, [
    "10.0.0.1:9042"
  ]],
  ["busy", new errors.BusyConnectionError("10.0.0.1:9042", 2048, 1), "Busy", true, false, ["2048"]],
  ["authentication", new errors.AuthenticationError("nope"), "Authentication", false, false, ["CASSANDRA_PASSWORD"]],
  ["not supported", new errors.NotSupportedError("vectors"), "ProtocolError", false, false, ["vectors"]],
  ["argument", new errors.ArgumentError("Execution profile \"x\" not found"), "Config", false, false, ["profile"]],
  [
    "data centre, by policy",
    new errors.ArgumentError("Datacenter dc1 was not found. Available DCs are: [a,b]"),
    "WrongDataCenter",
    false,
    false,
    ["'dc1'", "a, b", "--local-dc"]
  ],
  [
    "data centre, by client",
    new errors.ArgumentError("localDataCenter was configured as 'dc1', but only found hosts in data centers: [a, b]"),
    "WrongDataCenter",
    false,
    false,
    ["'dc1'", "a, b"]
  ],
  ["type error", new TypeError("Expected Number"), "Encode", false, false, ["Expected Number"]],
  ["range error", new RangeError("out of range"), "Encode", false, false, ["out of range"]],
  ["socket lost, written", socketLost(false), "Connection", true, true, ["ECONNRESET", "may have been applied"]],
  ["socket lost, not written", socketLost(true), "Connection", true, false, ["ECONNRESET"]],
  ["refused", noHost({ "127.0.0.1:1": refused }), "Connection", true, false, ["127.0.0.1:1", "ECONNREFUSED"]],
  [
    "an untrusted certificate",
    noHost({ "10.9.9.9:9042": coded("CERT_HAS_EXPIRED", "certificate has expired") }),
    "Tls",
    false,
    false,
    ["CERT_HAS_EXPIRED", "is not valid"]
  ],
  [
    "no TLS there",
    noHost({ "10.9.9.9:9042": coded("EPROTO", "error:0A00010B:SSL routines::wrong version number") }),
    "Tls",
    false,
    false,
    ["does not speak TLS"]
  ],
  [
    "a refused certificate",
    noHost({ "10.9.9.9:9042": coded("ERR_SSL_TLSV1_ALERT_UNKNOWN_CA", "x") }),
    "Tls",
    false,
    false,
    ["does not accept the certificate of the client"]
  ],
  [
    "TLS of no common version",
    noHost({ "10.9.9.9:9042": coded("ERR_SSL_UNSUPPORTED_PROTOCOL", "x") }),
    "Tls",
    false,
    false,
    ["client_encryption_options"]
  ],
  ["connect timeout", noHost({ "10.9.9.9:9042": new Error("Connection timeout") }), "Connection", true, false, [
    "10.9.9.9:9042"
  ]],
  [
    "up again, not yet connected",
    noHost({ "10.0.0.1:9042": new Error("No connection available") }),
    "Connection",
    true,
    false,
    [
      "no connection"
    ]
  ],
  ["marked down", noHost({ "10.0.0.1:9042": "Host considered as DOWN" }), "Connection", true, false, [
    "marked as down"
  ]],
  [
    "its control connection gone in the middle of its work",
    new TypeError("Cannot read properties of null (reading 'datacenter')"),
    "Connection",
    true,
    false,
    ["has just gone"]
  ],
  ["nobody to ask", noHost({}), "Connection", true, false, []],
  ["unwrapped", noHost({ a: response(0x1000, "", { required: 1 }) }), "Unavailable", true, false, ["1 required"]],
  [
    "most telling first",
    noHost({ a: refused, b: new errors.AuthenticationError("no") }),
    "Authentication",
    false,
    false,
    [
      "a, b"
    ]
  ],
  ["most telling last", noHost({ a: new errors.BusyConnectionError("a", 1, 1), b: refused }), "Busy", true, false, []],
  ["null inner error", noHost({ a: null, b: refused }), "Connection", true, false, ["b (ECONNREFUSED)"]],
  ["one node may have done it", noHost({ a: socketLost(false), b: refused }), "Connection", true, true, []],
  ["anything", new Error("what"), "Unknown", false, true, ["what"]],
  ["not an error", "just text", "Unknown", false, true, ["just text"]]
]

describe("CassandraError.classify", () => {
  for (const [name, cause, tag, isRetryable, mayHaveBeenApplied, words] of table) {
    it(name, () => {
      const error = CassandraError.fromCause(cause, "execute")
      assert.strictEqual(error.reason._tag, tag)
      assert.strictEqual(error.isRetryable, isRetryable, "isRetryable")
      assert.strictEqual(error.mayHaveBeenApplied, mayHaveBeenApplied, "mayHaveBeenApplied")
      assert.strictEqual(error.reason.operation, "execute")
      for (const word of words) assert.include(error.message, word)
      assert.notInclude(error.message, "\n")
      assert.notInclude(error.message, "undefined")
    })
  }

  it("every tag of the union is reached by the table, but those that only a session makes", () => {
    const reached = new Set(table.map(([, , tag]) => tag))
    const all = CassandraError.CassandraErrorReason.members.map((member) => member.identifier.split("/").at(-1)!)
    assert.deepStrictEqual(all.filter((tag) => !reached.has(tag)), ["SessionClosed"])
  })

  it("keeps what was required and alive, written and received", () => {
    const unavailable = CassandraError.classify(
      response(0x1000, "", { consistencies: 4, required: 2, alive: 1 }),
      "batch"
    )
    assert.isTrue(unavailable._tag === "Unavailable")
    if (unavailable._tag !== "Unavailable") return
    assert.deepStrictEqual([unavailable.consistency, unavailable.required, unavailable.alive], ["QUORUM", 2, 1])
  })

  it("an uncertain request may have been applied whatever the answer", () => {
    const cause = response(0x1000, "", { required: 2, alive: 1 })
    assert.isTrue(CassandraError.classify(cause, "batch", { uncertain: true }).mayHaveBeenApplied)
  })

  it("masks the literals of a statement that has a password", () => {
    const error = CassandraError.fromCause(response(0x2000, "line 1:30 mismatched input 'hunter2'"), "query", {
      statement: "CREATE ROLE x WITH PASSWORD = 'hunter2' AND BROKEN"
    })
    assert.notInclude(error.message, "hunter2")
    assert.include(error.message, "CREATE ROLE x WITH PASSWORD = '?'")
  })

  it.effect("is recovered by reason", () =>
    Effect.gen(function*() {
      const failed = Effect.fail(CassandraError.fromCause(response(0x1000, "", { required: 2, alive: 1 }), "query"))
      const alive = yield* failed.pipe(
        Effect.catchReason("CassandraError", "Unavailable", (reason) => Effect.succeed(reason.alive))
      )
      assert.strictEqual(alive, 1)
      const other = yield* Effect.flip(
        failed.pipe(Effect.catchReason("CassandraError", "Syntax", () => Effect.succeed(0)))
      )
      assert.strictEqual(other.reason._tag, "Unavailable")
    }))
})
