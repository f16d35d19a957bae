import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Result, Schema } from "effect"
import * as Mapping from "../../src/cli/Mapping.ts"

const parsed = (text: string) => {
  const result = Mapping.parse(text)
  if (Result.isFailure(result)) throw new Error(result.failure.message)
  return result.success
}

const rest = (...except: ReadonlyArray<string>) => ({ entries: [], columns: null, rest: { except } })
const entries = (...pairs: ReadonlyArray<readonly [string, string | null]>) => ({
  entries: pairs.map(([field, column]) => ({ field, column })),
  columns: null,
  rest: null
})

// With what quotes, signs and words of the language look like.
const Name = Schema.Literals([
  "id",
  "ID",
  "0",
  "17",
  "a b",
  "\"",
  "a\"b",
  "é",
  "-x",
  "__ttl",
  "__timestamp",
  "*",
  "x,y"
])

describe("Mapping", () => {
  it.each([
    ["a=b", entries(["a", "b"])],
    [" a = b ,c:d ", entries(["a", "b"], ["c", "d"])],
    ["0=id, 2=delay", entries(["0", "id"], ["2", "delay"])],
    ["From=\"From\", \"a \"\"b\"\"\"=c", entries(["From", "From"], ["a \"b\"", "c"])],
    ["Id=ID", entries(["Id", "ID"])],
    ["days=__ttl, days=d", entries(["days", null], ["days", "d"])],
    ["x=\"__ttl\"", entries(["x", "__ttl"])],
    ["*=*", rest()],
    ["* : *", rest()],
    ["*=-c2", rest("c2")],
    ["*=[-a, -\"B c\"]", rest("a", "B c")],
    ["ident=id, *=*", { ...entries(["ident", "id"]), rest: { except: [] } }],
    ["*=-a, b=c", { ...entries(["b", "c"]), rest: { except: ["a"] } }],
    ["id, delay", { entries: [], columns: ["id", "delay"], rest: null }]
  ])("reads %s", (text, expected) => {
    assert.deepStrictEqual(parsed(text), expected)
  })

  it.each([
    ["", 0, /name of a field is missing/],
    ["a=", 2, /name of a column is missing/],
    ["a=b c=d", 4, /comma is missing/],
    ["a=b,", 4, /name of a field is missing/],
    ["\"a=b", 0, /not closed/],
    ["a-b=c", 1, /comma is missing.*in quotes/],
    ["a.b=c", 1, /\. can't stand here.*in quotes/],
    ["=c", 0, /name of a field/],
    ["\"\"=c", 0, /name is empty/],
    ["a=c, b=c", 7, /column c is filled twice/],
    ["a=__ttl, b=__ttl", 11, /time to live is filled twice/],
    ["*=*, *=-a", 5, /twice/],
    ["*", 1, /= is missing/],
    ["*=a", 2, /minus sign/],
    ["*=[-a", 5, /bracket is not closed/],
    ["*=[-a,b]", 6, /minus sign/],
    ["a, b=c", 0, /one or the other/],
    ["now()=c", 0, /another value each time.*--query/],
    ["toDate(x)=c", 0, /is a function.*--query/],
    ["f=ttl(*)", 2, /__ttl/],
    ["f=writetime(c)", 2, /is a function/],
    ["f=__timestamp", 2, /timestamp is the sink's/]
  ])("refuses %s with the place and a way out", (text, offset, words) => {
    const result = Mapping.parse(text)
    assert.isTrue(Result.isFailure(result), text)
    if (Result.isFailure(result)) {
      assert.strictEqual(result.failure.offset, offset, result.failure.message)
      assert.match(result.failure.message, words)
    }
  })

  it.effect.prop(
    "reads what it prints",
    {
      fields: Arbitrary.array(Arbitrary.schema(Name), { minLength: 13, maxLength: 13 }),
      columns: Arbitrary.array(Arbitrary.schema(Name), { maxLength: 8 }),
      except: Arbitrary.array(Arbitrary.schema(Name), { maxLength: 3 }),
      kind: Schema.Literals(["entries", "entries and rest", "rest", "list"]),
      ttl: Schema.Boolean
    },
    ({ columns, except, fields, kind, ttl }) =>
      Effect.sync(() => {
        const once = [...new Set(columns)]
        const named = [...once, ...(ttl ? [null] : [])].map((column, i) => ({ field: fields[i]!, column }))
        const mapping: Mapping.Mapping = kind === "list"
          ? { entries: [], columns: once.length > 0 ? once : ["x"], rest: null }
          : {
            entries: kind === "rest" ? [] : named.length > 0 ? named : [{ field: "x", column: "y" }],
            columns: null,
            rest: kind === "entries" ? null : { except }
          }
        assert.deepStrictEqual(parsed(Mapping.print(mapping)), mapping)
      })
  )
})
