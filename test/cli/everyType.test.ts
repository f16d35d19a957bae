/** Every CQL type, from the text of a file to the table, by the command itself. */
import { assert, layer } from "@effect/vitest"
import { Arbitrary, Effect, Layer } from "effect"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import * as CassandraSession from "../../src/cassandra/CassandraSession.ts"
import * as CassandraServer from "../../src/testing/CassandraServer.ts"
import * as TableContent from "../../src/testing/TableContent.ts"
import * as TestKeyspace from "../../src/testing/TestKeyspace.ts"
import { cases } from "../cassandra/cqlCases.ts"
import { tempDirectory } from "../testing/tempDirectory.ts"
import { run } from "./commandFixture.ts"

const Session = Layer.effect(
  CassandraSession.CassandraSession,
  Effect.flatMap(CassandraServer.CassandraServer, ({ session }) => CassandraSession.make(session))
).pipe(Layer.provide(CassandraServer.layer()))

/** A list that is not frozen can't be written exactly once. */
const columns = cases.map(({ cql, forms, values }, i) => ({
  cql: cql.startsWith("list<") ? `frozen<${cql}>` : cql,
  forms,
  values,
  name: `c${i}`
}))

/** Besides what the generators give: the borders, and what JSON has no number for. */
const borders: { readonly [cql: string]: ReadonlyArray<string> } = {
  bigint: ["9223372036854775807", "-9223372036854775808", "9007199254740993"],
  varint: ["-9007199254740993", "123456789012345678901234567890123456789012345678901234567890"],
  decimal: ["0.10", "-1.000000000000000000000000000000000001", "1e-30", "123456789012345678901234567890"],
  double: ["NaN", "Infinity", "-Infinity", "-0", "5e-324", "1.7976931348623157e308"],
  float: ["NaN", "Infinity", "-Infinity", "-0", "1e-45", "3.4028235e38"],
  timestamp: [
    "8640000000000000",
    "-8640000000000000",
    "-62135596800000",
    "8640000000000001",
    "9223372036854775807",
    "-9223372036854775808"
  ]
}

const schema = (keyspace: string) => [
  `CREATE TYPE ${keyspace}.address (street text, lines frozen<list<int>>)`,
  `CREATE TABLE ${keyspace}.every (k int PRIMARY KEY, ${columns.map(({ cql, name }) => `${name} ${cql}`).join(", ")})`
]

/** JSON text with all digits; undefined for a value that JSON does not have. */
const toJson = (value: unknown): string | undefined => {
  if (value === null) return "null"
  if (typeof value === "bigint") return String(value)
  if (typeof value === "number") return Object.is(value, -0) ? "-0" : String(value)
  if (typeof value === "boolean" || typeof value === "string") return JSON.stringify(value)
  if (Array.isArray(value)) return all(value.map(toJson), (parts) => `[${parts.join(",")}]`)
  const entries = value instanceof Map
    ? [...value]
    : value !== null && typeof value === "object" && Object.getPrototypeOf(value) === Object.prototype
    ? Object.entries(value)
    : undefined
  return entries === undefined ? undefined : all(
    entries.map(([key, entry]) => all([toJson(entry)], ([text]) => `${JSON.stringify(String(key))}:${text}`)),
    (parts) => `{${parts.join(",")}}`
  )
}

const all = (
  parts: ReadonlyArray<string | undefined>,
  join: (parts: ReadonlyArray<string>) => string
): string | undefined => parts.every((part) => part !== undefined) ? join(parts as ReadonlyArray<string>) : undefined

/** The text of a CSV field; undefined for what is no text, or is a text that means "no value" there. */
const toField = (value: unknown): string | undefined => {
  const text = typeof value === "string" ? value : toJson(value)
  return text === undefined || text === "" ? undefined : `"${text.replaceAll("\"", "\"\"")}"`
}

/** The texts of a value in one format, of which each row takes another. */
const textOf = (
  forms: ReadonlyArray<unknown>,
  toText: (value: unknown) => string | undefined,
  row: number
): string | undefined => {
  const texts = forms.map(toText).filter((text) => text !== undefined)
  return texts[row % Math.max(1, texts.length)]
}

const rowsMax = 120

/** Each row has a value of each type: one for the table, and one for each format of files. */
const sample = Effect.fnUntraced(function*(seed: number) {
  const rows = Array.from({ length: rowsMax }, (_, k) => ({
    k,
    json: [`"k":${k}`],
    csv: [String(k)],
    expectedJson: { k } as Record<string, unknown>,
    expectedCsv: { k } as Record<string, unknown>
  }))
  for (const { cql, forms, name, values } of columns) {
    const sampled = yield* Arbitrary.sampleEffect(values, { count: rowsMax, size: 30, seed: `${seed} ${name}` })
    const special = borders[cql] ?? []
    for (const row of rows) {
      const written = row.k < special.length ? [special[row.k]!] : forms(sampled[row.k])
      const json = textOf(written, toJson, row.k)
      if (json !== undefined) row.json.push(`"${name}":${json}`)
      row.expectedJson[name] = json === undefined ? null : written[0]
      const field = textOf(written, toField, row.k)
      row.csv.push(field ?? "")
      row.expectedCsv[name] = field === undefined ? null : written[0]
    }
  }
  return rows
})

layer(Session, { excludeTestServices: true })("from the text of a file to the table", (it) => {
  it.effect("every type, every form of it that NDJSON and CSV have", () =>
    Effect.gen(function*() {
      const seed = Math.floor(Math.random() * 1e9)
      const rows = yield* sample(seed)
      const directory = yield* tempDirectory
      writeFileSync(join(directory, "rows.ndjson"), rows.map(({ json }) => `{${json.join(",")}}\n`).join(""))
      writeFileSync(
        join(directory, "rows.csv"),
        `k,${columns.map(({ name }) => name).join(",")}\n${rows.map(({ csv }) => `${csv.join(",")}\n`).join("")}`
      )
      for (const [file, expected] of [["rows.ndjson", "expectedJson"], ["rows.csv", "expectedCsv"]] as const) {
        const keyspace = yield* TestKeyspace.make({ schema })
        const flags = ["--job=types", `--uid=${file}`, `--checkpoint-keyspace=${keyspace}`, "--progress=none"]
        const ended = yield* Effect.promise(() =>
          run(["load", join(directory, file), "-t", `${keyspace}.every`, ...flags], { cwd: directory })
        )
        assert.strictEqual(ended.code, 0, `seed ${seed}\n${ended.stderr}`)
        yield* Effect.mapError(
          TableContent.expectTable(keyspace, "every", rows.map((row) => row[expected])),
          (error) => new Error(`seed ${seed}, ${file}: ${error.message}`)
        )
        const verified = yield* Effect.promise(() =>
          run(["verify", join(directory, file), "-t", `${keyspace}.every`, "--exact", "--json"], { cwd: directory })
        )
        assert.strictEqual(verified.code, 0, `seed ${seed}\n${verified.stderr}${verified.stdout}`)
        assert.strictEqual(JSON.parse(verified.stdout).rows, rows.length)
      }
    }))

  it.effect("what is absent stays, and a null stays or deletes as it is told", () =>
    Effect.gen(function*() {
      const session = yield* CassandraSession.CassandraSession
      const keyspace = yield* TestKeyspace.make({
        schema: (keyspace) => [
          `CREATE TABLE ${keyspace}.cells (k int PRIMARY KEY, a text, b frozen<list<int>>, c map<text, int>)`
        ]
      })
      const directory = yield* tempDirectory
      writeFileSync(join(directory, "a.ndjson"), `{"k":1,"a":null,"b":[2]}\n{"k":2,"c":{}}\n{"k":3,"a":"","b":null}\n`)
      writeFileSync(join(directory, "a.csv"), `k,a,b,c\n1,,[2],\n2,new,,"{}"\n3,,,\n`)
      const before = { a: "old", b: [1], c: { x: 1 } }
      const load = Effect.fnUntraced(function*(file: string, nulls: string) {
        for (const k of [1, 2, 3]) {
          yield* session.execute(`INSERT INTO ${keyspace}.cells (k, a, b, c) VALUES (?, ?, ?, ?)`, [
            k,
            ...Object.values(before)
          ])
        }
        const ended = yield* Effect.promise(() =>
          run([
            "load",
            join(directory, file),
            "-t",
            `${keyspace}.cells`,
            "--job=nulls",
            `--uid=${file}-${nulls}`,
            `--checkpoint-keyspace=${keyspace}`,
            `--nulls=${nulls}`
          ], { cwd: directory })
        )
        assert.strictEqual(ended.code, 0, ended.stderr)
      })
      yield* load("a.ndjson", "unset")
      yield* TableContent.expectTable(keyspace, "cells", [
        { k: 1, ...before, b: [2] },
        { k: 2, ...before, c: null },
        { k: 3, ...before, a: "" }
      ])
      yield* load("a.ndjson", "tombstone")
      yield* TableContent.expectTable(keyspace, "cells", [
        { k: 1, ...before, a: null, b: [2] },
        { k: 2, ...before, c: null },
        { k: 3, ...before, a: "", b: null }
      ])
      yield* load("a.csv", "unset")
      yield* TableContent.expectTable(keyspace, "cells", [
        { k: 1, ...before, b: [2] },
        { k: 2, ...before, a: "new", c: null },
        { k: 3, ...before }
      ])
      yield* load("a.csv", "tombstone")
      yield* TableContent.expectTable(keyspace, "cells", [
        { k: 1, ...before, a: null, b: [2], c: null },
        { k: 2, a: "new", b: null, c: null },
        { k: 3, a: null, b: null, c: null }
      ])
    }))
})
