import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import type { TableInfo } from "../../src/cassandra/CassandraSession.ts"
import { inferInsert } from "../../src/cli/inferInsert.ts"
import * as Mapping from "../../src/cli/Mapping.ts"
import { nearest } from "../../src/cli/nearest.ts"

const table: TableInfo = {
  keyspace: "demo",
  name: "flights",
  columns: [
    { name: "day", type: "date", kind: "partition_key", position: 0 },
    { name: "id", type: "int", kind: "clustering", position: 0 },
    { name: "Origin", type: "text", kind: "regular", position: -1 },
    { name: "delay", type: "int", kind: "regular", position: -1 },
    { name: "order", type: "text", kind: "regular", position: -1 }
  ]
}

const infer = (
  mapping: string,
  fields: string,
  options: { readonly csv?: boolean; readonly numbered?: boolean } = {}
) => {
  const parsed = Mapping.parse(mapping)
  if (Result.isFailure(parsed)) throw new Error(parsed.failure.message)
  const names = fields === "" ? [] : fields.split(" ")
  const isComplete = options.csv === true || options.numbered === true
  return inferInsert(table, parsed.success, { input: "f", names, isComplete }, options.numbered === true)
}

const insert = (columns: string, values: string) => `INSERT INTO demo.flights (${columns}) VALUES (${values})`

describe("inferInsert", () => {
  it.each([
    ["*=*", "id day", {}, insert("day, id, \"Origin\", delay, \"order\"", "?, ?, ?, ?, ?")],
    ["*=*", "id day delay", { csv: true }, insert("day, id, delay", "?, ?, ?")],
    ["*=-delay", "id day", {}, insert("day, id, \"Origin\", \"order\"", "?, ?, ?, ?")],
    ["*=[-delay,-Origin,-order]", "id day", {}, insert("day, id", "?, ?")],
    ["Ident=id, day=day", "Ident day", {}, insert("day, id", ":day, :\"Ident\"")],
    ["day=day, day=Origin, id=id", "day id", {}, insert("day, id, \"Origin\"", ":day, :id, :day")],
    ["2=day,0=id", "0 1 2", { numbered: true }, insert("day, id", ":\"2\", :\"0\"")],
    ["id, day", "0 1 2", { numbered: true }, insert("day, id", ":\"1\", :\"0\"")],
    ["id, day", "id day", {}, insert("day, id", "?, ?")],
    ["id=id,day=day,days=__ttl", "id day days", {}, insert("day, id", ":day, :id") + " USING TTL :days"]
  ])("%s from %s", (mapping, fields, options, query) => {
    const result = infer(mapping, fields, options)
    assert.strictEqual(Result.isSuccess(result) ? result.success.query : result.failure.join(), query)
  })

  it("says which fields are left, and which were asked for and are not there", () => {
    const result = infer("dely=delay, *=*", "id day delay more")
    if (Result.isFailure(result)) throw new Error(result.failure.join())
    assert.deepStrictEqual(result.success.left, ["delay", "more"])
    assert.deepStrictEqual(result.success.absent, ["dely"])
  })

  it.each([
    ["a=idd, *=*", "id day a", {}, [/no column idd \(did you mean id\?\); its columns are day, id, /]],
    ["*=-nope", "id day", {}, [/no column nope; /]],
    ["id=id", "id", {}, [/key column day is filled from no field.*it has id.*--mapping "field=day, \*=\*"/]],
    ["*=*", "Id Day", {}, [/key column day needs the field day.*"Day=day, \*=\*"/, /needs the field id.*"Id=id, /]],
    ["*=*", "ident day", { csv: true }, [/key column id is filled from no field.*has ident, day.*"field=id, \*=\*"/]],
    ["*=*", "0 1", { numbered: true }, [/key column day .*numbered.*"0=day/, /key column id .*numbered.*"0=id/]],
    ["dely=delay, *=*", "id day delay", { csv: true }, [
      /column delay needs the field dely, which f does not have \(did you mean delay\?\)/
    ]],
    ["days=__ttl, *=*", "id day", { csv: true }, [/time to live needs the field days/]]
  ])("refuses %s from %s", (mapping, fields, options, words) => {
    const result = infer(mapping, fields, options)
    const problems = Result.isFailure(result) ? result.failure : []
    assert.strictEqual(problems.length, words.length, problems.join("\n"))
    words.forEach((word, i) => assert.match(problems[i]!, word))
  })
})

describe("nearest", () => {
  it.each([
    ["flihgts", ["flights", "fights"], "flights"],
    ["DELAY", ["day", "delay"], "delay"],
    ["zip_code", ["zipCode", "city"], "zipCode"],
    ["x", ["id", "name"], undefined]
  ])("%s of %s", (name, names, expected) => {
    assert.strictEqual(nearest(name, names), expected)
  })
})
